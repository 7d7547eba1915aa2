# Runs in an Odoo host after its boot: the administrator's password, then the addon, then Odoo.
systemctl stop odoo
hash=$(python3 -c 'from passlib.hash import pbkdf2_sha512; print(pbkdf2_sha512.hash(input()))' \
    < /root/odoo-admin-password)
runuser -u odoo -- psql -q odoo <<EOF
UPDATE res_users SET password = '$hash' WHERE login = 'admin';
EOF
if [ -e /srv/asterisk-formula/odoo_glue/asterisk_plus/__manifest__.py ]; then
    log=/var/log/odoo/odoo-addon.log
    runuser -u odoo -- odoo --config /etc/odoo/odoo.conf --init asterisk_plus --update asterisk_plus \
        --workers 0 --no-http --stop-after-init --logfile "$log" || { tail -n 40 "$log"; exit 1; }
fi
systemctl enable --quiet odoo
systemctl start odoo
