# Odoo with the clone's addon on its path: the source is the newest series', the others are built.
series=$(odoo --version | grep -o '[0-9]*' | head -n 1)
[ "$series" -ge 19 ] && glue=odoo_glue || glue=dist/$series
cat >> /etc/odoo/odoo.conf <<EOF
addons_path = /usr/lib/python3/dist-packages/odoo/addons,/srv/asterisk-formula/$glue
EOF
echo "admin_passwd = $(openssl rand -hex 24)" >> /etc/odoo/odoo.conf
(umask 077 && openssl rand -hex 12 > /root/odoo-admin-password)
# Debian's unit does not wait for PostgreSQL, which after a power cut needs a while.
mkdir /etc/systemd/system/odoo.service.d
printf '[Unit]\nAfter=postgresql.service\n' > /etc/systemd/system/odoo.service.d/postgresql.conf
