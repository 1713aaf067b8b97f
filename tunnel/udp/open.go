package udp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"
)

const (
	// Sizes of the kernel's buffers, which it doubles to allow for its own
	// overhead. A megabyte takes what 64 KiB batches come to while a receiver
	// waits for a processor, and is 4 ms of 2 Gbit/s; more only adds latency.
	receiveBuffer = 1 << 20
	sendBuffer    = 512 << 10

	// portAttempts is how many random ports are tried for one that is free
	// in both families.
	portAttempts = 100
)

// listener opens a socket of one family, "udp4" or "udp6", and says on which
// port.
type listener interface {
	listen(network string, port uint16, mark uint32) (Socket, uint16, error)
}

// listenAddress is where a socket binds: everywhere, or on loopback alone.
func listenAddress(network string, loopback bool, port uint16) string {
	host := ""
	switch {
	case loopback && network == "udp6":
		host = "::1"
	case loopback:
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// openBoth is Open for any kind of listener.
func openBoth(l listener, port uint16, mark uint32) (*Sockets, error) {
	for attempt := 1; ; attempt++ {
		s, err := openOnce(l, port, mark)
		if err == nil {
			return s, nil
		}
		taken := errors.Is(err, syscall.EADDRINUSE)
		if port == 0 && taken && attempt < portAttempts {
			continue // taken in the second family
		}
		if port == 0 {
			return nil, fmt.Errorf("open a UDP port: %w", err)
		}
		return nil, fmt.Errorf("open UDP port %d: %w", port, err)
	}
}

func openOnce(l listener, port uint16, mark uint32) (*Sockets, error) {
	s := &Sockets{Port: port}
	var missing []error
	for _, network := range []string{"udp4", "udp6"} {
		one, bound, err := l.listen(network, s.Port, mark)
		switch {
		case err != nil && familyMissing(err):
			missing = append(missing, err)
		case err != nil:
			s.Close()
			return nil, err
		default:
			s.Port = bound
			if network == "udp4" {
				s.V4 = []Socket{one}
			} else {
				s.V6 = []Socket{one}
			}
		}
	}
	if len(s.All()) == 0 {
		return nil, errors.Join(missing...)
	}
	return s, nil
}

// pause is how long to wait after a read has failed a number of times in a
// row: not at all at first, since most errors concern one datagram, then
// longer, since some concern the machine.
func pause(failures int) time.Duration {
	const patience, longest = 8, 100 * time.Millisecond
	if failures < patience {
		return 0
	}
	return min(time.Millisecond<<min(failures-patience, 10), longest)
}
