# A bare Debian with Salt: what a PBX host starts as.
prepare_suite forky
install_salt 'salt==3008.*'
