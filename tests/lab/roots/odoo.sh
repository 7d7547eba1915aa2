# Odoo 19: Debian has it in sid only, whose Python is too new for it; the rest is trixie's.
printf '%s\n' 'Package: *' 'Pin: release n=sid' 'Pin-Priority: 100' > /etc/apt/preferences.d/sid
prepare_suite trixie 'deb http://deb.debian.org/debian sid main'
install_odoo odoo-19
