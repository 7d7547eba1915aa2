# Sourced by recipes of Odoo hosts.

# install_odoo PACKAGE: Odoo with PostgreSQL, and nginx before it.
install_odoo() {
    install_packages postgresql nginx-light python3-pip "$1"
    cp /run/recipes/files/odoo-nginx.conf /etc/nginx/sites-available/odoo
    ln -sf ../sites-available/odoo /etc/nginx/sites-enabled/default
    install -m 755 /run/recipes/files/odoo-shell /usr/local/bin/odoo-shell
}
