# Sourced by recipes of Odoo hosts: makes the database.
cp /run/recipes/files/odoo.conf /etc/odoo/odoo.conf
chown odoo:odoo /etc/odoo/odoo.conf
chmod 640 /etc/odoo/odoo.conf

read -r version cluster _ < <(pg_lsclusters --no-header)
settings="/etc/postgresql/$version/$cluster/conf.d/lab.conf"
# Unix sockets only: a build shares the network with the machine and with other builds.
echo "listen_addresses = ''" > "$settings"
echo "fsync = off" >> "$settings"
mkdir -p /run/postgresql
chown postgres:postgres /run/postgresql
pg_ctlcluster "$version" "$cluster" start
[ "$(runuser -u postgres -- psql -Atc "SELECT 1 FROM pg_roles WHERE rolname = 'odoo'")" ] ||
    runuser -u postgres -- createuser --createdb odoo
# No HTTP for the same reason: another Odoo may have the port.
runuser -u odoo -- odoo --config /etc/odoo/odoo.conf --database odoo --init base,web,mail,contacts \
    --without-demo all --no-http --stop-after-init
pg_ctlcluster "$version" "$cluster" stop
sed -i /fsync/d "$settings"

# The lab starts Odoo when the addon is in.
systemctl disable odoo
