# The database `odoo`, ready for the addon.
. /run/recipes/odoo-database.sh
