# Asterisk's source out of forky's source package, in the form in which asterisk.org hands it out:
# /srv/asterisk-source has the tarball, pjproject's, and a version of it that exits at its start.
install_packages xz-utils bzip2 gpg gpg-agent
echo 'deb-src http://deb.debian.org/debian forky main' > /etc/apt/sources.list.d/source.list
apt-get update
mkdir -p /srv/asterisk-source /tmp/asterisk /tmp/pjproject
cd /tmp
apt-get source --download-only asterisk
rm /etc/apt/sources.list.d/source.list
apt-get update

tar -xf asterisk_*.orig.tar.xz -C asterisk --strip-components=1
bundled=asterisk/third-party/pjproject
pjproject=$(basename $bundled/pjproject-*.tar.bz2.md5 .tar.bz2.md5)
mkdir "pjproject/$pjproject"
tar -xf asterisk_*.orig-Xpjproject.tar.xz -C "pjproject/$pjproject" --strip-components=1
# Debian took out a driver that is not free, and left it in the list of what to compile.
sed -i 's/ bdimad_dev.o//' "pjproject/$pjproject/pjmedia/build/Makefile"
tar -cjf "/srv/asterisk-source/$pjproject.tar.bz2" -C pjproject "$pjproject"
(cd /srv/asterisk-source && md5sum "$pjproject.tar.bz2") > "$bundled/$pjproject.tar.bz2.md5"

version=$(cat asterisk/.version)
echo "$version" > /srv/asterisk-source/version
tar -czf "/srv/asterisk-source/asterisk-$version.tar.gz" asterisk
echo "$version-exits" > asterisk/.version
sed -i '/^static void asterisk_daemon(.*)$/,/^{/ s/^{/{\n\texit(1);/' asterisk/main/asterisk.c
grep -q -A 2 '^static void asterisk_daemon(.*)$' asterisk/main/asterisk.c
tar -czf "/srv/asterisk-source/asterisk-$version-exits.tar.gz" asterisk
