# Odoo with the clone's addon on its path.
cat >> /etc/odoo/odoo.conf <<'EOF'
addons_path = /usr/lib/python3/dist-packages/odoo/addons,/srv/asterisk-formula/odoo_glue
EOF
echo "admin_passwd = $(openssl rand -hex 24)" >> /etc/odoo/odoo.conf
(umask 077 && openssl rand -hex 12 > /root/odoo-admin-password)
