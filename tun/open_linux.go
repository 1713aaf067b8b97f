package tun

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The flags that a link is opened with, whether for one queue or for several. Both
// need to know the kernel's virtio headers.
const (
	flagsBare   = unix.IFF_TUN | unix.IFF_NO_PI
	flagsSingle = flagsBare | unix.IFF_VNET_HDR
	flagsMulti  = flagsSingle | unix.IFF_MULTI_QUEUE
)

// openQueues opens descriptors for so many queues of a link, or for one if that is
// what the link was made for.
//
// Of several queues the driver chooses, for each packet, the one through which a packet
// of the same flow was last written, if that was within three seconds, and else
// by a hash of the flow: so a flow would move between them, and be reordered. A descriptor
// that is detached from its queue can still be written to, and the driver learns
// nothing from that. So there is one of those beside each queue, and
// the hash alone decides.
func openQueues(name string, queues int) ([]*os.File, error) {
	first, name, flags, err := openFirst(name, queues)
	if err != nil {
		return nil, err
	}
	files := []*os.File{first}
	if queues <= 1 || flags&unix.IFF_MULTI_QUEUE == 0 {
		return files, nil
	}
	// The first half is detached only when the other half is there, since the number of its
	// queue, which a descriptor keeps, must be one that the link has.
	for len(files) < 2*queues && err == nil {
		var f *os.File
		if f, _, err = openQueue(name, flags); err == nil {
			files = append(files, f)
		}
	}
	for i := 0; i < queues && err == nil; i++ {
		err = detach(files[i])
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// openFirst opens a link with the flags that suit, and returns those.
func openFirst(name string, queues int) (f *os.File, got string, flags uint16, err error) {
	kinds := []uint16{flagsMulti, flagsSingle, flagsBare}
	if queues <= 1 {
		kinds = []uint16{flagsSingle, flagsMulti, flagsBare}
	}
	for _, flags = range kinds {
		if f, got, err = openQueue(name, flags); !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return f, got, flags, err
}

// detach takes the queue from a descriptor.
func detach(f *os.File) error {
	req, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_DETACH_QUEUE)
	return onFile(f, func(fd int) error {
		return os.NewSyscallError("TUNSETQUEUE", unix.IoctlIfreq(fd, unix.TUNSETQUEUE, req))
	})
}

// openQueue opens one queue, and returns the name of its link.
func openQueue(name string, flags uint16) (*os.File, string, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: clonePath, Err: err}
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), clonePath), req.Name(), nil
}

// explain makes one line of an error of openQueues.
func explain(name string, err error, existed bool) error {
	var path *os.PathError
	opened := !errors.As(err, &path)
	var hint string
	switch {
	case !opened && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)):
		hint = "load the kernel's module (modprobe tun), or give the container the device"
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		hint = "run as root, or with CAP_NET_ADMIN"
	case errors.Is(err, unix.EBUSY):
		hint = "the name is taken by a running program: stop that one, or choose another name"
	case existed && errors.Is(err, unix.EINVAL):
		hint = "a link of that name is there and is no TUN link: delete it, or choose another name"
	default:
		return fmt.Errorf("tun %q: %w", name, err)
	}
	return fmt.Errorf("tun %q: %w (%s)", name, err, hint)
}
