package udp

import (
	"os"

	"golang.org/x/sys/unix"
)

// Spread is System with so many sockets of each family on each port, between
// which the kernel shares out who sends to us (SO_REUSEPORT). Where it lets us
// have fewer, there are fewer. A port that somebody has fails as it does with
// one socket, and whoever wants ours later is refused, except a program of the
// same user that asks to share it: which may do anything with us in any case.
func Spread(sockets int) Opener { return systemOpener{sockets: sockets} }

// spread opens the further sockets of a port.
func (o systemOpener) spread(s *Sockets, mark uint32) {
	s.V4 = o.join("udp4", s.V4, s.Port, mark)
	s.V6 = o.join("udp6", s.V6, s.Port, mark)
}

// join opens further sockets beside the one of a family. That was bound as one
// which shares with nobody, and so has met whoever had the port.
func (o systemOpener) join(network string, family []Socket, port uint16, mark uint32) []Socket {
	if len(family) == 0 || onDescriptor(family[0].(*socket).raw, shareable) != nil {
		return family
	}
	o.joins = true
	for len(family) < o.sockets {
		next, _, err := o.listen(network, port, mark)
		if err != nil {
			break
		}
		family = append(family, next)
	}
	return family
}

// shareable lets others of the same user bind the port of a socket.
func shareable(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
