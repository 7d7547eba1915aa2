# The Salt master. Reactor, salt-api and external pillar are the formula's to set up.
mkdir -p /srv/pillar
chmod 700 /srv/pillar
echo 'base: {}' > /srv/pillar/top.sls
cat > /etc/salt/roots.conf <<'EOF'
file_roots:
  base: [/srv/asterisk-formula]
pillar_roots:
  base: [/srv/pillar]
file_ignore_regex: ['(^|/)\.(git|venv|[a-z_]*cache)($|/)', '(^|/)__pycache__($|/)']
EOF
cp /etc/salt/roots.conf /etc/salt/minion.d/roots.conf
mv /etc/salt/roots.conf /etc/salt/master.d/roots.conf
cat > /etc/salt/master.d/lab.conf <<'EOF'
auto_accept: true
worker_threads: 3
# How long to wait for a busy minion to say that a job still runs.
gather_job_timeout: 45
EOF
# Only salt-call runs on the hub, on the formula's own hub SLS.
cat > /etc/salt/minion.d/lab.conf <<EOF
file_client: local
id: $HOST
EOF
systemctl enable --quiet salt-master
