# A bare Debian with Salt: what a PBX host starts as.
. /run/recipes/salt.sh
prepare_suite forky
install_salt 'salt==3008.*'
