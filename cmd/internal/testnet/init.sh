# Boots systemd for a host of testnet: as process 1 of namespaces of its own, with
# few units, and with no way to anything that the machine below shares. $1 is how
# far it is, $2 the name of its cgroup; TESTNET_UNITS are more units of the system's that
# are to be there. The first ends, and removes that, when it
# gets SIGTERM.
set -euo pipefail

boot() {
	mount -t proc proc /proc
	mkdir /run/.net /run/.dev
	mount --bind /proc/sys/net /run/.net # belongs to the network namespace
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
	mount --move /run/.net /proc/sys/net
	umount /sys/fs/cgroup
	mount -t cgroup2 cgroup2 /sys/fs/cgroup # shows what is its own

	mount -t tmpfs -o mode=755 tmpfs /run/.dev
	mkdir /run/.dev/{net,pts,shm}
	for device in null zero full random urandom tty net/tun; do
		touch "/run/.dev/$device"
		mount --bind "/dev/$device" "/run/.dev/$device"
	done
	ln -s /proc/self/fd /run/.dev/fd
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /run/.dev/pts
	ln -s pts/ptmx /run/.dev/ptmx # what PrivateDevices looks for
	mount --move /run/.dev /dev
	mount -t tmpfs tmpfs /dev/shm
	rmdir /run/.net /run/.dev

	local units=/usr/lib/systemd/system kept=/run/.units
	mkdir $kept
	cp "$units"/systemd-journald{.service,.socket,-dev-log.socket} "$units"/dbus.{service,socket} $kept
	local unit
	for unit in $TESTNET_UNITS; do
		cp "$units/$unit" $kept
	done
	for target in sysinit basic multi-user network network-pre network-online nss-lookup sockets shutdown umount final; do
		printf '[Unit]\nDefaultDependencies=no\n' >"$kept/$target.target"
	done
	printf 'Wants=systemd-journald.service dbus.socket\nAfter=systemd-journald.service dbus.socket\n' >>$kept/basic.target
	mount -t tmpfs tmpfs /usr/lib/systemd/system-generators
	mount -t tmpfs tmpfs $units
	mv $kept/* $units
	rmdir $kept
	find /etc/systemd/system -mindepth 1 ! -path '*vpn*' -delete

	container=vpn-testnet exec /usr/lib/systemd/systemd --system --unit=basic.target </dev/null
}

case $1 in
start)
	cgroup=/sys/fs/cgroup/$2
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir "$cgroup"
	trap 'kill -KILL $!' TERM
	setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount --uts --ipc bash "$0" enter "$2" &
	wait $! || true
	trap '' TERM
	until find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.01; done
	;;
enter)
	echo 0 >"/sys/fs/cgroup/$2/cgroup.procs"
	exec unshare --cgroup bash "$0" boot
	;;
boot)
	boot
	;;
esac
