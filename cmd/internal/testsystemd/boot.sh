# Makes a system of its own of the namespaces that it is started in, and becomes
# systemd. Arguments: a folder to build in, and what to bind: pairs of a path of the
# system and one outside.
set -euo pipefail
build=$1
shift
root=$build/root
mount --make-rprivate /
mkdir "$root"
mount -t tmpfs -o mode=755 root "$root"
cd "$root"
mkdir -p usr etc var/log var/lib run tmp proc sys dev root home .etc/{upper,work}
chmod 1777 tmp
chmod 700 root
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
mount --rbind /usr usr
mount -o bind,remount,ro usr
mount -t overlay -o "lowerdir=/etc,upperdir=$root/.etc/upper,workdir=$root/.etc/work" etc etc
mount -t tmpfs -o mode=755 run run
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o ro,mode=755 cgroup sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755 dev dev
mkdir -p dev/{pts,shm,net}
for device in null zero full random urandom tty net/tun; do
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# Of all variables of the kernel's it may change those of its own network.
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o bind,remount,ro proc/sys
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger

# The units that make a system of its own, and none of the machine's.
rm -rf etc/systemd/system etc/wireguard etc/fstab
mkdir -p etc/systemd/system etc/wireguard
chmod 700 etc/wireguard
echo 0123456789abcdef0123456789abcdef >etc/machine-id
for unit in systemd-sysctl.service systemd-modules-load.service systemd-random-seed.service systemd-udevd.service \
	systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service systemd-networkd.service systemd-networkd.socket \
	systemd-resolved.service systemd-timesyncd.service systemd-remount-fs.service systemd-logind.service proc-sys-fs-binfmt_misc.automount \
	sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount; do
	ln -s /dev/null "etc/systemd/system/$unit"
done
printf '[Unit]\nRequires=basic.target dbus.socket\nAfter=basic.target dbus.socket\nAllowIsolate=yes\n' >etc/systemd/system/multi-user.target
ln -s multi-user.target etc/systemd/system/default.target

cp -a "$build/files/." .
while [ $# -gt 0 ]; do
	mkdir -p ".$1"
	mount --bind "$2" ".$1"
	shift 2
done
mkdir old
pivot_root . old
umount -l /old
rmdir /old
cd /
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin /usr/lib/systemd/systemd --system --log-level=info --log-target=journal --show-status=no
