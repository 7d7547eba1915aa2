# Odoo 19: Debian has it in sid only, whose Python is too new for it; the rest is trixie's.
. /run/recipes/odoo-install.sh
printf '%s\n' 'Package: *' 'Pin: release n=sid' 'Pin-Priority: 100' > /etc/apt/preferences.d/sid
prepare_suite trixie 'deb http://deb.debian.org/debian sid main'
install_odoo odoo-19
/usr/bin/python3 -m pip install --break-system-packages salt-pepper phonenumbers
