package diagnose

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFlows is how many pairs of addresses are kept of what comes out of the tunnel, and maxSeen how many packets are looked at.
	maxFlows = 64
	maxSeen  = 10_000
	// headLen is as much of a packet as has both addresses.
	headLen = 40
)

type flow struct{ source, destination netip.Addr }

// capture looks at what comes out of a tunnel.
type capture struct {
	file *os.File // nil: nothing is looked at
	done chan struct{}

	mu    sync.Mutex // guards flows
	flows map[flow]bool
}

// captureTraffic begins to look. Where that can't be done, nothing will have been seen.
func captureTraffic(link string) *capture {
	c := &capture{done: make(chan struct{}), flows: make(map[flow]bool)}
	i, err := net.InterfaceByName(link)
	if err != nil {
		close(c.done)
		return c
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		close(c.done)
		return c
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)), Ifindex: i.Index}); err != nil {
		unix.Close(fd)
		close(c.done)
		return c
	}
	c.file = os.NewFile(uintptr(fd), "packets of "+link)
	go c.read()
	return c
}

func (c *capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	b := make([]byte, headLen)
	for range maxSeen {
		var n int
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), b, 0)
			return failed != unix.EAGAIN
		})
		if err != nil || failed != nil && failed != unix.EINTR && failed != unix.ENETDOWN {
			return
		}
		if at, ok := from.(*unix.SockaddrLinklayer); failed != nil || !ok || at.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		c.keep(b[:n])
	}
}

func (c *capture) keep(packet []byte) {
	var f flow
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		f = flow{netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))}
	case len(packet) >= 40 && packet[0]>>4 == 6:
		f = flow{netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))}
	default:
		return
	}
	if f.destination.IsMulticast() || f.source.IsUnspecified() || f.source.IsLinkLocalUnicast() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.flows) < maxFlows {
		c.flows[f] = true
	}
}

// stop ends the looking. It may be called more than once.
func (c *capture) stop() {
	if c.file != nil {
		_ = c.file.SetReadDeadline(time.Unix(1, 0)) // it ends the read, and that closes the file's use
		<-c.done
		c.file.Close()
	}
}

// kept are the packets that stay here, and why.
func (c *capture) kept(link string) (all []Passed) {
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flows {
		if p := why(f, link); p.Filter != "" || p.Forwarding != "" {
			all = append(all, p)
		}
	}
	return all
}

func why(f flow, link string) Passed {
	p := Passed{Source: f.source, Destination: f.destination}
	forwarding := "ipv6/conf/all/forwarding"
	name := "net.ipv6.conf.all.forwarding"
	if f.source.Is4() {
		forwarding, name = "ipv4/conf/"+link+"/forwarding", "net.ipv4.ip_forward"
		back, err := lookUp(f.source, 0)
		if err == nil {
			p.Back = back.link
		}
		if strict := filter(link); strict == "1" && p.Back != link || strict == "2" && err != nil {
			p.Filter = filterName(link)
		}
	}
	to, err := lookUp(f.destination, 0)
	if (err != nil || !to.local) && sysctl(forwarding) == "0" {
		p.Forwarding = name
	}
	return p
}
