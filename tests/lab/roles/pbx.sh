# A bare Debian with a Salt minion.
cat > /etc/salt/minion.d/lab.conf <<EOF
master: hub
id: $HOST
log_level_logfile: info
EOF
systemctl enable --quiet salt-minion
