# Odoo 14.
install_odoo odoo-14
