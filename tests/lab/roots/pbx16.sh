# A bare Debian 11 with the last Salt for its Python 3.9.
. /run/recipes/salt.sh
install_salt 'salt==3006.*'
