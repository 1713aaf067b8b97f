package tun

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// control asks and changes links in the network namespace it was opened in,
// wherever the process runs later. Safe for concurrent use.
type control struct {
	mu  sync.Mutex // held for a request and its answer
	fd  int        // -1 when closed
	seq uint32
	buf [8192]byte
}

// link is what a link message says.
type link struct {
	family   uint8
	index    int32
	name     string
	mtu      int
	up       bool
	users    int   // descriptors that a TUN link for several queues is open by; 0 before Linux 4.17
	newNS    int32 // where the link went, by the identifier its old namespace has for the new one; -1: not said
	newIndex int32 // its index there; 0: as it was
}

func openControl() (*control, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	return &control{fd: fd}, nil
}

func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// request is a link message being built: struct nlmsghdr, struct ifinfomsg,
// attributes.
type request struct{ b []byte }

func newRequest(kind, flags uint16, index int32) *request {
	r := &request{b: make([]byte, unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg, 128)}
	binary.NativeEndian.PutUint16(r.b[4:], kind)
	binary.NativeEndian.PutUint16(r.b[6:], flags|unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(r.b[unix.NLMSG_HDRLEN+4:], uint32(index))
	return r
}

// attribute appends an attribute, or, when inner is set, one with what inner appends.
func (r *request) attribute(kind uint16, value []byte, inner func()) *request {
	at := len(r.b)
	r.b = append(r.b, 0, 0, 0, 0)
	r.b = append(r.b, value...)
	if inner != nil {
		inner()
	}
	binary.NativeEndian.PutUint16(r.b[at:], uint16(len(r.b)-at))
	binary.NativeEndian.PutUint16(r.b[at+2:], kind)
	for len(r.b)%unix.NLMSG_ALIGNTO != 0 {
		r.b = append(r.b, 0)
	}
	return r
}

func (r *request) number(kind uint16, v int) *request {
	return r.attribute(kind, binary.NativeEndian.AppendUint32(nil, uint32(v)), nil)
}

// do sends r and waits for the answer: an acknowledgement, or the first link that
// is described.
func (c *control) do(r *request) (link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return link{}, os.ErrClosed
	}
	c.seq++
	binary.NativeEndian.PutUint32(r.b, uint32(len(r.b)))
	binary.NativeEndian.PutUint32(r.b[8:], c.seq)
	if err := unix.Sendto(c.fd, r.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return link{}, os.NewSyscallError("netlink request", err)
	}
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buf[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return link{}, os.NewSyscallError("netlink answer", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not from the kernel
		}
		for m := range messages(c.buf[:n]) {
			if m.seq != c.seq {
				continue
			}
			if m.kind == unix.NLMSG_ERROR && len(m.body) >= 4 {
				errno := -int32(binary.NativeEndian.Uint32(m.body))
				if errno != 0 {
					return link{}, unix.Errno(errno)
				}
				return link{}, nil
			}
			if l, ok := parseLink(m.body); ok && m.kind == unix.RTM_NEWLINK {
				return l, nil
			}
		}
	}
}

// linkByName fails with ENODEV when there is no such link here.
func (c *control) linkByName(name string) (link, error) {
	return c.do(newRequest(unix.RTM_GETLINK, 0, 0).attribute(unix.IFLA_IFNAME, append([]byte(name), 0), nil))
}

// linkByIndex fails with ENODEV when there is no such link here.
func (c *control) linkByIndex(index int32) (link, error) {
	return c.do(newRequest(unix.RTM_GETLINK, 0, index))
}

func (c *control) setMTU(index int32, mtu int) error {
	_, err := c.do(newRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK, index).number(unix.IFLA_MTU, mtu))
	return err
}

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
const addrGenModeNone = 1

// noLinkLocal keeps the kernel from giving the link an IPv6 link-local address, as
// it keeps from it with its own wireguard links. Without IPv6 there is nothing to do.
func (c *control) noLinkLocal(index int32) error {
	r := newRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK, index)
	r.attribute(unix.IFLA_AF_SPEC, nil, func() {
		r.attribute(unix.AF_INET6, nil, func() {
			r.attribute(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenModeNone}, nil)
		})
	})
	_, err := c.do(r)
	if err == unix.EAFNOSUPPORT {
		return nil
	}
	return err
}

// limitSuperpackets bounds the bytes of the superpackets that the kernel puts into
// the link. Kernels before 4.16 take no notice.
func (c *control) limitSuperpackets(index int32, bytes int) error {
	r := newRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK, index)
	r.number(unix.IFLA_GSO_MAX_SIZE, bytes)
	_, err := c.do(r)
	return err
}

// message is one netlink message: its type, sequence number and what follows
// the header.
type message struct {
	kind uint16
	seq  uint32
	body []byte
}

// messages yields the messages in one datagram, up to the first whose length is
// wrong.
func messages(b []byte) func(yield func(message) bool) {
	return func(yield func(message) bool) {
		for len(b) >= unix.NLMSG_HDRLEN {
			n := int(binary.NativeEndian.Uint32(b))
			if n < unix.NLMSG_HDRLEN || n > len(b) {
				return
			}
			m := message{
				kind: binary.NativeEndian.Uint16(b[4:]),
				seq:  binary.NativeEndian.Uint32(b[8:]),
				body: b[unix.NLMSG_HDRLEN:n],
			}
			if !yield(m) {
				return
			}
			b = b[min(len(b), (n+3)&^3):]
		}
	}
}

// parseLink reads the body of an RTM_NEWLINK or RTM_DELLINK message.
func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	l.family = b[0]
	l.index = int32(binary.NativeEndian.Uint32(b[4:]))
	l.up = binary.NativeEndian.Uint32(b[8:])&unix.IFF_UP != 0
	l.newNS = -1
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(value)
		case unix.IFLA_MTU:
			l.mtu = int(word(value))
		case unix.IFLA_NEW_NETNSID:
			l.newNS = word(value)
		case unix.IFLA_NEW_IFINDEX:
			l.newIndex = word(value)
		case unix.IFLA_LINKINFO:
			l.users = tunUsers(value)
		}
	}
	return l, true
}

// tunUsers reads what the driver says of a TUN link: with how many descriptors it is
// open. Of one for a single queue it does not say.
func tunUsers(info []byte) (n int) {
	var kind string
	for name, value := range attributes(info) {
		switch {
		case name == unix.IFLA_INFO_KIND:
			kind = unix.ByteSliceToString(value)
		case name == unix.IFLA_INFO_DATA && kind == "tun":
			for name, value := range attributes(value) {
				if name == unix.IFLA_TUN_NUM_QUEUES || name == unix.IFLA_TUN_NUM_DISABLED_QUEUES {
					n += int(word(value))
				}
			}
		}
	}
	return n
}

// word is the number that an attribute holds, 0 if it is too short for one.
func word(value []byte) int32 {
	if len(value) < 4 {
		return 0
	}
	return int32(binary.NativeEndian.Uint32(value))
}

// attributes yields kind and value of the attributes in b, up to the first whose length
// is wrong.
func attributes(b []byte) func(yield func(kind uint16, value []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min(len(b), (n+3)&^3):]
		}
	}
}
