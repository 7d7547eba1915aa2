# A bare Debian 11 with the last Salt for its Python 3.9.
install_salt 'salt==3006.*'
