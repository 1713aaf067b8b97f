package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// Offloads that are asked for, best first; a kernel that refuses one set is asked
// for the next. UDP came with Linux 6.2.
const (
	offloadTCP = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	offloadECN = offloadTCP | unix.TUN_F_TSO_ECN
	offloadUDP = offloadECN | unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// Native is what a Device of Create or FromFile can do beyond Device, on Linux.
type Native interface {
	Device
	// Files returns all descriptors of the link, to be handed to another process for
	// its FromFile; there may be more than queues. They belong to the device. They must stay
	// non-blocking in both, so os.File.Fd is not for them: SyscallConn is.
	Files() []*os.File
	// SetPersistent decides whether the link outlives its last descriptor.
	SetPersistent(on bool) error
}

// superpacketBytes is the link's gso_max_size: so much that the segments of a
// superpacket, 32 bytes longer each once they are sealed, still go out with one
// UDP_SEGMENT send of 65,507 bytes, for any MTU from 1280 on. What the kernel makes
// of its own accord, 64 KiB, takes two: one with all but the last few segments,
// and one with these.
const superpacketBytes = 60_000

// Create opens the TUN link called name, which it makes unless there is one, with so
// many queues (at least 1). All packets of a flow come from one of them; the fragments
// among them may come from another. A link that is there may have been made for a
// single queue, and has one then. In an empty name or one with %d the kernel chooses,
// as in "tun%d". An mtu of 0 means DefaultMTU for a new link, and no change for one
// that was there. The link's kernel-made IPv6 link-local address is switched off.
//
// The link belongs to the network namespace of the calling thread. The device is
// a Native. Errors are one line, and say what to do where that is known; EBUSY is in
// that of a link that somebody has open.
func Create(name string, mtu, queues int) (Device, error) {
	if len(name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("tun %q: name is longer than %d characters", name, unix.IFNAMSIZ-1)
	}
	ctl, err := openControl()
	if err != nil {
		return nil, fmt.Errorf("tun %q: %w", name, err)
	}
	l, err := ctl.linkByName(name)
	existed := err == nil
	if mtu == 0 && !existed {
		mtu = DefaultMTU
	}
	var files []*os.File
	if err = unix.EBUSY; l.users == 0 {
		files, err = openQueues(name, queues)
	}
	if err != nil {
		ctl.close()
		return nil, explain(name, err, existed)
	}
	return newNative(ctl, files, mtu)
}

// FromFile takes over a TUN descriptor that another process opened (WG_TUN_FD), and
// further ones of the same link. Whether packets come with a virtio header, and which
// descriptors are for writing only, is asked of the kernel. An mtu of 0 changes nothing; setting one needs
// CAP_NET_ADMIN. On success the files are closed, the device has duplicates.
func FromFile(f *os.File, mtu int, more ...*os.File) (Device, error) {
	var files []*os.File
	for _, f := range append([]*os.File{f}, more...) {
		own, err := duplicate(f)
		if err != nil {
			closeAll(files)
			return nil, fmt.Errorf("tun: descriptor given: %w", err)
		}
		files = append(files, own)
	}
	ctl, err := openControl()
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("tun: %w", err)
	}
	d, err := newNative(ctl, files, mtu)
	if err != nil {
		return nil, err
	}
	f.Close()
	closeAll(more)
	return d, nil
}

// duplicate returns f's description under a new, non-blocking descriptor.
// An *os.File made of a blocking descriptor is not in the poller and never will be.
func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(old uintptr) {
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	})
	if err = errors.Join(cerr, err); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, err
	}
	return os.NewFile(uintptr(fd), clonePath), nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// native is a TUN link.
type native struct {
	files  []*os.File
	queues []Queue
	ctl    *control // for init and the watcher, in the link's first namespace
	watch  *watcher
	name   atomic.Pointer[string]
	mtu    atomic.Int32
	index  int32 // of the link in that namespace
	vnet   bool  // a virtio header stands before each packet
	last   Event // Up or Down, whichever was reported last; newNative's, then follow's
	events chan Event
	done   chan struct{} // closed by Close
	once   sync.Once
}

// newNative makes a device of the open queues of one link. It takes over ctl and
// files, and closes them when it fails.
func newNative(ctl *control, files []*os.File, mtu int) (*native, error) {
	d := &native{files: files, ctl: ctl, events: make(chan Event, 8), done: make(chan struct{})}
	err := d.init(mtu)
	if err != nil {
		closeAll(files)
		ctl.close()
		if d.watch != nil {
			d.watch.close()
		}
		return nil, err
	}
	go d.follow()
	return d, nil
}

func (d *native) init(mtu int) error {
	name, flags, err := linkOf(d.files[0])
	if err != nil {
		return fmt.Errorf("tun: not a TUN descriptor: %w", err)
	}
	d.name.Store(&name)
	d.vnet = flags&unix.IFF_VNET_HDR != 0
	var udp bool
	if d.vnet {
		if udp, err = setOffloads(d.files[0]); err != nil {
			return fmt.Errorf("tun %q: %w", name, err)
		}
	}
	if err := d.makeQueues(name, udp); err != nil {
		return fmt.Errorf("tun %q: %w", name, err)
	}
	// Watched first and read then: no change falls between.
	if d.watch, err = openWatcher(); err != nil {
		return fmt.Errorf("tun %q: watch the link: %w", name, err)
	}
	l, err := d.ctl.linkByName(name)
	if errors.Is(err, unix.ENODEV) {
		// It was moved away before it was handed to us.
		d.mtu.Store(DefaultMTU)
		d.watch.lost = true
		d.report(d.probe())
		return nil
	}
	if err != nil {
		return fmt.Errorf("tun %q: read the link: %w", name, err)
	}
	d.index, d.watch.index = l.index, l.index
	if err := d.ctl.noLinkLocal(l.index); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("tun %q: switch off the link-local address: %w", name, err)
	}
	if err := d.ctl.limitSuperpackets(l.index, superpacketBytes); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("tun %q: bound superpackets to %d bytes: %w", name, superpacketBytes, err)
	}
	if mtu != 0 && mtu != l.mtu {
		if err := d.ctl.setMTU(l.index, mtu); err != nil {
			return fmt.Errorf("tun %q: set the MTU to %d: %w", name, mtu, err)
		}
		l.mtu = mtu
	}
	d.mtu.Store(int32(l.mtu))
	d.report(l.up)
	return nil
}

// makeQueues makes queues of the link's descriptors.
func (d *native) makeQueues(name string, udp bool) error {
	var in, out []*os.File
	for i, f := range d.files {
		got, flags, err := linkOf(f)
		switch {
		case err != nil || got != name:
			return fmt.Errorf("queue %d is of another link (%q): %w", i, got, err)
		case flags&unix.IFF_DETACH_QUEUE != 0:
			out = append(out, f)
		default:
			in = append(in, f)
		}
	}
	if len(in) == 0 {
		return errors.New("no descriptor given is for reading")
	}
	for i, f := range in {
		to := f
		if len(out) > 0 {
			to = out[i%len(out)]
		}
		q, err := newQueue(f, to, d.vnet, udp)
		if err != nil {
			return fmt.Errorf("queue %d: %w", i, err)
		}
		q.gone = d
		d.queues = append(d.queues, q)
	}
	return nil
}

// linkOf returns the name and the TUN flags of the link that f is a queue of. It
// fails when that is gone, and works wherever the link was moved.
func linkOf(f *os.File) (name string, flags uint16, err error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	err = onFile(f, func(fd int) error { return unix.IoctlIfreq(fd, unix.TUNGETIFF, req) })
	return req.Name(), req.Uint16(), err
}

// setOffloads says that superpackets are welcome, and whether those of UDP are too.
// A kernel that takes none still gives and wants the virtio header.
func setOffloads(f *os.File) (udp bool, err error) {
	err = onFile(f, func(fd int) error {
		// Whoever opened a descriptor that was given may have asked for another form of header.
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, virtioSize); err != nil {
			return fmt.Errorf("set the virtio header's size: %w", err)
		}
		for _, set := range []int{offloadUDP, offloadECN, offloadTCP, 0} {
			if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, set) == nil {
				udp = set == offloadUDP
				break
			}
		}
		return nil
	})
	return udp, err
}

// onFile calls f with file's descriptor, which stays open meanwhile.
func onFile(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	if cerr != nil {
		return os.ErrClosed
	}
	return err
}

func (d *native) Name() string         { return *d.name.Load() }
func (d *native) MTU() int             { return int(d.mtu.Load()) }
func (d *native) Events() <-chan Event { return d.events }
func (d *native) Queues() []Queue      { return d.queues }
func (d *native) Files() []*os.File    { return d.files }

func (d *native) SetPersistent(on bool) error {
	v := 0
	if on {
		v = 1
	}
	err := onFile(d.files[0], func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, v) })
	if err != nil {
		return fmt.Errorf("tun %q: set persistent to %v: %w", d.Name(), on, err)
	}
	return nil
}

func (d *native) Close() error {
	var err error
	d.once.Do(func() {
		close(d.done)
		for _, f := range d.files {
			err = errors.Join(err, f.Close())
		}
		d.watch.close()
		d.ctl.close()
	})
	return err
}
