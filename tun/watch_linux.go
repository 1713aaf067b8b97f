package tun

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeEvery is how often a link is looked at that no message tells of.
const probeEvery = time.Second

// watcher receives what the kernel says about links. Its socket stays in the
// namespace it was opened in; with CAP_NET_BROADCAST it also hears of the namespaces
// that this one has an identifier for, such as one that a link was moved to.
type watcher struct {
	file       *os.File
	raw        syscall.RawConn
	everywhere bool // it hears of other namespaces

	// Where the link is, known to follow only.
	index int32
	ns    int32 // identifier of the namespace; here: our own
	lost  bool  // it is where nothing is heard of it

	buf [32 << 10]byte
	oob [64]byte
}

// here is what stands for the watcher's own namespace.
const here = -1

func openWatcher() (*watcher, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("netlink bind", err)
	}
	w := &watcher{ns: here}
	w.everywhere = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1) == nil
	w.file = os.NewFile(uintptr(fd), "netlink")
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

func (w *watcher) close() { w.file.Close() }

// receive waits for messages and says which namespace they are about.
func (w *watcher) receive() (b []byte, ns int32, err error) {
	var n, oobn int
	var from unix.Sockaddr
	rerr := w.raw.Read(func(fd uintptr) bool {
		n, oobn, _, from, err = unix.Recvmsg(int(fd), w.buf[:], w.oob[:], 0)
		return err != unix.EAGAIN
	})
	if err = errors.Join(rerr, err); err != nil {
		return nil, 0, err
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return nil, here, nil // not from the kernel
	}
	return w.buf[:n], namespaceOf(w.oob[:oobn]), nil
}

// namespaceOf finds the namespace's identifier in the control messages. There is none
// with what is about our own.
func namespaceOf(oob []byte) int32 {
	cs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return here
	}
	for _, c := range cs {
		if c.Header.Level == unix.SOL_NETLINK && c.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(c.Data) >= 4 {
			return int32(binary.NativeEndian.Uint32(c.Data))
		}
	}
	return here
}

// follow reports the link's changes until the device is closed or the link
// deleted, and then closes the channel of events.
func (d *native) follow() {
	defer close(d.events)
	defer d.Close()
	for {
		if d.watch.lost {
			// It fails on a closed file only, where receive does too.
			_ = d.watch.file.SetReadDeadline(time.Now().Add(probeEvery))
		}
		b, ns, err := d.watch.receive()
		switch {
		case err == nil:
			for m := range messages(b) {
				if l, ok := parseLink(m.body); ok && !d.heard(m.kind, ns, l) {
					return
				}
			}
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ENOBUFS):
			// Nothing is heard, or messages were lost: the link itself is asked.
			if !d.look() {
				return
			}
		case errors.Is(err, unix.EINTR):
		default:
			return
		}
	}
}

// heard takes one message about some link in namespace ns, and returns false if it
// says that ours was deleted.
func (d *native) heard(kind uint16, ns int32, l link) bool {
	w := d.watch
	if w.lost || ns != w.ns || l.index != w.index || l.family != unix.AF_UNSPEC {
		return true
	}
	switch kind {
	case unix.RTM_NEWLINK:
		d.update(l)
	case unix.RTM_DELLINK:
		// A link that leaves for another namespace is deleted from this one by the same
		// message. Its descriptors know.
		if _, _, err := linkOf(d.files[0]); err != nil {
			return false
		}
		if w.everywhere && w.ns == here && l.newNS >= 0 {
			w.ns = l.newNS
			if l.newIndex > 0 {
				w.index = l.newIndex
			}
		} else {
			w.lost = true
		}
	}
	return true
}

// look asks after the link without waiting for messages, and returns false if it is
// gone.
func (d *native) look() bool {
	name, _, err := linkOf(d.files[0])
	if err != nil {
		return false
	}
	w := d.watch
	if !w.lost && w.ns == here {
		if l, err := d.ctl.linkByIndex(w.index); err == nil && l.name == name {
			d.update(l)
			return true
		}
		w.lost = true
	}
	d.name.Store(&name)
	d.report(d.probe())
	return true
}

// probe finds out whether the link is up, wherever it is: a write to one that is down
// fails with EIO. With virtio headers an empty write does, which goes nowhere when the
// link is up. Without them the kernel wants to see an IP version first, and drops
// the one byte afterwards.
func (d *native) probe() (up bool) {
	var scrap []byte
	if !d.vnet {
		scrap = []byte{0x40}
	}
	err := onFile(d.files[0], func(fd int) error {
		_, err := unix.Write(fd, scrap)
		return err
	})
	return !errors.Is(err, unix.EIO)
}

// update takes the link's state as it is now.
func (d *native) update(l link) {
	if l.name != "" {
		d.name.Store(&l.name)
	}
	if l.mtu != 0 && d.mtu.Swap(int32(l.mtu)) != int32(l.mtu) {
		d.send(MTUChanged)
	}
	d.report(l.up)
}

// report sends Up or Down if that is news.
func (d *native) report(up bool) {
	e := Down
	if up {
		e = Up
	}
	if d.last != e {
		d.last = e
		d.send(e)
	}
}

func (d *native) send(e Event) {
	select {
	case d.events <- e:
	case <-d.done:
	}
}
