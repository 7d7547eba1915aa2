# Sourced in a root before its own recipe.

update-ca-certificates

install_packages() { apt-get install -y --no-install-recommends "$@"; }

# prepare_suite SUITE [LINE…]: apt's sources and settings, and what every host has.
prepare_suite() {
    local suite=$1
    shift
    printf '%s\n' "deb http://deb.debian.org/debian $suite main" "$@" > /etc/apt/sources.list
    # Release files of suites that are not stable are valid for a week; a mirror may be older.
    echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/80lab
    echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lab
    printf '%s\n' 'path-exclude=/usr/share/doc/*' 'path-include=/usr/share/doc/*/copyright' \
        'path-exclude=/usr/share/man/*' >> /etc/dpkg/dpkg.cfg.d/lab
    apt-get update
    install_packages systemd systemd-sysv dbus iproute2 iputils-ping procps less curl \
        openssl ca-certificates tzdata python3 netbase
    # Nothing in a container can answer for these, and each costs time at boot.
    systemctl mask systemd-networkd-wait-online.service systemd-udevd.service getty.target \
        console-getty.service systemd-firstboot.service e2scrub_reap.service apt-daily.timer \
        apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
}

# install_salt REQUIREMENT…: Salt from PyPI in /opt/salt, its commands on the path, its units.
install_salt() {
    # The compiler is for timelib, of which PyPI has no wheels; a bare host has none.
    install_packages python3-venv
    install_packages gcc libc6-dev python3-dev
    python3 -m venv /opt/salt
    /opt/salt/bin/pip install --upgrade pip
    /opt/salt/bin/pip install "$@"
    apt-mark auto gcc libc6-dev python3-dev
    apt-get autoremove -y --purge
    for command in salt salt-call salt-run salt-key salt-master salt-minion salt-api spm; do
        ln -s "/opt/salt/bin/$command" "/usr/local/bin/$command"
    done
    mkdir -p /etc/salt/{minion.d,master.d,pki} /var/log/salt /var/cache/salt
    cp /run/recipes/files/salt-*.service /etc/systemd/system/
}

# install_odoo PACKAGE: Odoo with PostgreSQL, nginx and a database `odoo`.
install_odoo() {
    install_packages postgresql nginx-light python3-pip "$1"
}
