package tun

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"vpn/tun/offload"
)

const virtioSize = offload.VirtioSize

// maxRefusals is the number of superpackets of one kind that the kernel may refuse in a
// row before no more are made: one that a peer forged must not cost the
// others theirs, and a kernel that takes none must not be asked for ever.
const maxRefusals = 8

// queue is a descriptor of a TUN link to read from, and one to write to, perhaps the
// same. They are non-blocking and in the poller.
type queue struct {
	in   syscall.RawConn
	out  syscall.RawConn
	vnet bool      // a virtio header stands before each packet
	udp  bool      // the kernel knows superpackets of UDP
	gone io.Closer // the device, closed by the reader that finds the link deleted

	reading sync.Mutex // guards the following
	batch   *Batch
	readErr error
	readFn  func(fd uintptr) bool // q.read, bound once: binding allocates

	writing  sync.Mutex // guards the following
	coalesce offload.Coalescer
	pkts     [][]byte
	grouped  bool // this batch went through coalesce
	at       int  // the group, or else the packet, to write next
	member   int  // the packet of a refused group to write next by itself, or -1
	taken    int
	writeErr error
	iov      []unix.Iovec
	refusals [offload.UDP + 1]int                      // in a row, by kind
	writeFn  func(fd uintptr) bool                     // q.write, bound once
	writev   func(uintptr, []unix.Iovec) syscall.Errno // the system call
}

func newQueue(in, out *os.File, vnet, udp bool) (*queue, error) {
	from, err := in.SyscallConn()
	if err != nil {
		return nil, err
	}
	to, err := out.SyscallConn()
	if err != nil {
		return nil, err
	}
	q := &queue{in: from, out: to, vnet: vnet, udp: udp, writev: writev}
	q.readFn, q.writeFn = q.read, q.write
	return q, nil
}

// Read implements Queue.
func (q *queue) Read(b *Batch) error {
	q.reading.Lock()
	defer q.reading.Unlock()
	b.Reset()
	q.batch, q.readErr = b, nil
	err := q.in.Read(q.readFn)
	q.batch = nil
	switch {
	case len(b.Packets) > 0:
		return nil // an error will be there at the next call too
	case err != nil: // the file was closed, nothing else can happen to it here
		return os.ErrClosed
	case errors.Is(q.readErr, unix.EBADFD), errors.Is(q.readErr, unix.EIO):
		// The link was deleted, or is just being. The watcher may not hear of that: a
		// namespace that dies takes its links silently.
		q.gone.Close()
		return os.ErrClosed
	}
	return q.readErr
}

// read fills the batch until there is no more, and returns false to be called again
// when there is.
func (q *queue) read(fd uintptr) bool {
	b := q.batch
	headroom := 0
	if q.vnet {
		headroom = virtioSize
	}
	for !b.Full() {
		room := b.room(headroom)
		n, errno := readRaw(fd, room)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return len(b.Packets) > 0
		case errno != 0:
			q.readErr = errno
			return true
		case n <= headroom:
			continue
		}
		var g offload.GSO
		if q.vnet {
			var err error
			if g, err = offload.ParseVirtio(room); err != nil {
				continue // of a kind never asked for
			}
		}
		b.add(room[headroom:n], g)
	}
	return true
}

// Write implements Queue.
func (q *queue) Write(pkts [][]byte) (int, error) {
	q.writing.Lock()
	defer q.writing.Unlock()
	q.pkts, q.at, q.member, q.taken, q.writeErr = pkts, 0, -1, 0, nil
	q.grouped = q.vnet && len(pkts) > 1 &&
		max(q.refusals[offload.TCPv4], q.refusals[offload.TCPv6]) < maxRefusals
	if q.grouped {
		q.coalesce.Coalesce(pkts, q.udp && q.refusals[offload.UDP] < maxRefusals)
	}
	err := q.out.Write(q.writeFn)
	q.pkts = nil
	clear(q.iov)
	if err != nil {
		return q.taken, os.ErrClosed
	}
	return q.taken, q.writeErr
}

// outcome is what follows from one write.
type outcome uint8

const (
	next outcome = iota // go on with the next packet
	wait                // try this one again when the device has room
	stop                // no packet will be taken now
)

// write writes what is left of the batch. It returns false to be called again
// when the device has room.
func (q *queue) write(fd uintptr) bool {
	units := len(q.pkts)
	if q.grouped {
		units = q.coalesce.Len()
	}
	for ; q.at < units; q.at++ {
		var o outcome
		if q.grouped {
			o = q.writeGroup(fd, q.coalesce.Group(q.at))
		} else {
			o = q.writePacket(fd, q.pkts[q.at])
		}
		if o != next {
			return o == stop
		}
	}
	return true
}

// writeGroup writes a superpacket, and if the kernel refuses it its packets one by
// one.
func (q *queue) writeGroup(fd uintptr, g *offload.Group) outcome {
	if len(g.Index) == 1 {
		return q.writePacket(fd, g.Head)
	}
	if q.member < 0 {
		q.iov = append(q.iov[:0], piece(g.Virtio[:]), piece(g.Head))
		for _, p := range g.Payloads {
			q.iov = append(q.iov, piece(p))
		}
		errno := q.send(fd)
		switch errno {
		case 0:
			q.refusals[g.GSO.Type] = 0
			q.taken += len(g.Index)
			return next
		case unix.EAGAIN, unix.EBADFD, unix.EIO:
			return q.settle(errno)
		case unix.EINVAL:
			q.refusals[g.GSO.Type]++
		}
		// Whatever the reason, such as too little memory for so much: what can go
		// in pieces does.
		q.member = 0
	}
	for ; q.member < len(g.Index); q.member++ {
		if o := q.writePacket(fd, q.pkts[g.Index[q.member]]); o != next {
			return o
		}
	}
	q.member = -1
	return next
}

// noVirtio is the header of a packet that is complete.
var noVirtio [virtioSize]byte

// writePacket writes one packet as it is.
func (q *queue) writePacket(fd uintptr, pkt []byte) outcome {
	q.iov = q.iov[:0]
	if q.vnet {
		q.iov = append(q.iov, piece(noVirtio[:]))
	}
	q.iov = append(q.iov, piece(pkt))
	errno := q.send(fd)
	if errno == 0 {
		q.taken++
	}
	return q.settle(errno)
}

// settle decides what follows an errno.
func (q *queue) settle(errno syscall.Errno) outcome {
	switch errno {
	case 0:
		return next
	case unix.EAGAIN:
		return wait
	case unix.EBADFD: // the link was deleted
		q.writeErr = os.ErrClosed
		return stop
	case unix.EIO: // the link is down
		q.writeErr = errno
		return stop
	}
	q.writeErr = errno
	return next
}

// send makes the system call for q.iov.
func (q *queue) send(fd uintptr) syscall.Errno {
	for {
		if errno := q.writev(fd, q.iov); errno != unix.EINTR {
			return errno
		}
	}
}

func piece(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// Both system calls are raw: on a descriptor that is non-blocking they never wait, but
// they are long enough for the runtime's watchdog to take the processor from a
// thread in an ordinary one and to hand it to another, which costs two switches.

func readRaw(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// writev writes one packet. The kernel takes it whole or not at all.
func writev(fd uintptr, iov []unix.Iovec) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	return errno
}
