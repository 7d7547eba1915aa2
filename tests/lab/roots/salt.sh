# Sourced by recipes of hosts with Salt.

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
