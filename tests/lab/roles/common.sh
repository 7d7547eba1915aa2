# Comes before each role. Sets a host up before its first boot; HOST and TIMEZONE are set.
echo "$HOST" > /etc/hostname
ln -sf "/usr/share/zoneinfo/$TIMEZONE" /etc/localtime
echo "$TIMEZONE" > /etc/timezone
update-ca-certificates > /dev/null
rm -f /etc/machine-id
systemd-machine-id-setup 2> /dev/null
