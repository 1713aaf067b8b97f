//go:build linux

package testnet

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"time"
)

// Flow says what became of a run of numbered datagrams.
type Flow struct {
	Sent, Received, Doubled, Reordered int
	Time                               time.Duration // of sending
}

// Lost returns how many datagrams did not arrive.
func (f Flow) Lost() int { return f.Sent - f.Received }

// ListenUDP opens a socket on the host.
func (h *Host) ListenUDP(address string) *net.UDPConn {
	h.tb.Helper()
	var conn *net.UDPConn
	h.Do(func() {
		var err error
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		h.check(err, "listen")
	})
	h.tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// DialUDP opens a connected socket on the host.
func (h *Host) DialUDP(address string) *net.UDPConn {
	h.tb.Helper()
	var conn *net.UDPConn
	h.Do(func() {
		var err error
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		h.check(err, "dial %s", address)
	})
	h.tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Blast sends count datagrams of size bytes, 8 at least, from one host to an
// address of another: all at once, or rate a second if that is not 0. It ends
// when all have come, or none for quiet.
func Blast(from, to *Host, address string, count, size, rate int, quiet time.Duration) Flow {
	from.tb.Helper()
	receiver := to.ListenUDP(netip.AddrPortFrom(netip.MustParseAddr(address), 0).String())
	to.check(receiver.SetReadBuffer(8<<20), "receive buffer")
	sender := from.DialUDP(receiver.LocalAddr().String())
	flow := Flow{Sent: count}
	done := make(chan error, 1)
	go func() {
		begin := time.Now()
		b := make([]byte, size)
		var failed error
		for i := range count {
			if rate > 0 {
				pace(begin, i, rate)
			}
			binary.BigEndian.PutUint64(b, uint64(i))
			if _, err := sender.Write(b); err != nil {
				failed = err // one that the kernel refuses is a lost one
			}
		}
		flow.Time = time.Since(begin)
		done <- failed
	}()
	seen := make([]bool, count)
	last := -1
	b := make([]byte, 1<<16)
	for flow.Received < count {
		from.check(receiver.SetReadDeadline(time.Now().Add(quiet)), "deadline")
		n, err := receiver.Read(b)
		if os.IsTimeout(err) {
			break
		}
		to.check(err, "receive")
		i := int(binary.BigEndian.Uint64(b))
		switch {
		case n != size || i >= count:
			to.tb.Fatalf("%s: a datagram that nobody sent: %d bytes, number %d", to.Name, n, i)
		case seen[i]:
			flow.Doubled++
			continue
		case i < last:
			flow.Reordered++
		}
		seen[i], last = true, max(i, last)
		flow.Received++
	}
	if err := <-done; err != nil {
		from.tb.Logf("%s: sending: %v", from.Name, err)
	}
	_ = receiver.Close()
	_ = sender.Close()
	return flow
}

// pace waits until datagram i is due. It reads the clock over and over rather
// than sleeping: timers are coarser than a datagram's time.
func pace(begin time.Time, i, rate int) {
	due := time.Duration(float64(i) / float64(rate) * float64(time.Second))
	if left := due - time.Since(begin); left > 2*time.Millisecond {
		<-time.After(left - time.Millisecond)
	}
	for time.Since(begin) < due {
	}
}
