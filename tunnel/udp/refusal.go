package udp

import (
	"net/netip"
	"syscall"
)

// Refusal is an ICMP error that came for a datagram that went out, or the kernel's own word for one that it could not send on. It is
// nobody's word of honour: whoever can guess addresses and ports can send one.
type Refusal struct {
	To     netip.AddrPort // where the datagram was to go
	From   netip.Addr     // who says so; invalid if that is not told
	Errno  syscall.Errno
	ICMP   uint8 // 4 or 6; 0: the kernel itself
	Type   uint8
	Code   uint8
	MTU    uint32 // with EMSGSIZE
	Quoted []byte // the beginning of the datagram's data, as far as it was quoted; the callee's
}

// Watch has f told of refusals from now on, by whichever goroutine uses a socket: it must neither block nor use the sockets. Systems
// without an error queue tell nothing.
func (s *Sockets) Watch(f func(Refusal)) {
	for _, one := range s.All() {
		if one, ok := one.(interface{ watch(func(Refusal)) }); ok {
			one.watch(f)
		}
	}
}
