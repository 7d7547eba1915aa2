# Odoo 14.
. /run/recipes/odoo-install.sh
install_odoo odoo-14
/usr/bin/python3 -m pip install salt-pepper phonenumbers
