# A bare Debian with Salt, of a release that has no Asterisk.
. /run/recipes/salt.sh
prepare_suite trixie
install_salt 'salt==3008.*'
