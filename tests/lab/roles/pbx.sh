# A bare Debian with a Salt minion.
cat > /etc/salt/minion.d/lab.conf <<EOF
master: hub
id: $HOST
log_level_logfile: info
# A master that lost its power does not close connections: by default that shows after 300 s.
tcp_keepalive_idle: 5
tcp_keepalive_intvl: 2
tcp_keepalive_cnt: 3
EOF
systemctl enable --quiet salt-minion
