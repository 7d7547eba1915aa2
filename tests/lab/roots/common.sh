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
