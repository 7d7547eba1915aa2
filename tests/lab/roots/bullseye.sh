# A bare Debian 11: the oldest Asterisk and Odoo that are supported are in it.
prepare_suite bullseye
