#!/bin/bash
# First process of a host, in mount and network namespaces of its own; becomes systemd-nspawn.
# Environment, from machine.py: HOST FOLDER LOWER CLONE PIP_CACHE CCACHE ARCHIVES ROLE TIMEZONE
# GROUP_FOLDERS READY (a descriptor).
# What it mounts, nobody else sees, and is gone with the host.
set -euo pipefail
for group in $GROUP_FOLDERS; do echo $$ > "$group/cgroup.procs"; done
mount --make-rprivate /
cd "$FOLDER"
mkdir -p work merged archives
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$FOLDER/disk,workdir=$FOLDER/work" merged
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=755 lab /run/systemd/nspawn

if [ ! -e set-up ]; then
    cp -rT seed merged
    mount -t proc proc merged/proc
    mount --bind /dev/null merged/dev/null
    chroot merged /usr/bin/env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 HOST="$HOST" TIMEZONE="$TIMEZONE" \
        /bin/bash -euo pipefail < <(cat "$(dirname "$ROLE")/common.sh" "$ROLE")
    umount merged/dev/null merged/proc
    touch set-up
fi

echo ready >&"$READY"
exec {READY}>&-
# The lab plugs the cable in now. Without an answer it was interrupted: nothing is started.
read -r answer
[ "$answer" = go ]

export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0
exec systemd-nspawn --quiet --boot --directory=merged --machine="$HOST" --register=no --keep-unit \
    --network-namespace-path=/proc/self/ns/net --resolv-conf=off --timezone=off --link-journal=no \
    --bind-ro="$CLONE:/srv/asterisk-formula" --bind="$PIP_CACHE:/root/.cache/pip" \
    --bind="$CCACHE:/root/.cache/ccache" \
    --overlay="$ARCHIVES:$FOLDER/archives:/var/cache/apt/archives" < /dev/null
