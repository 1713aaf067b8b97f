//go:build linux

package testnet

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Pings is the outcome of a series of echo requests.
type Pings struct {
	Sent, Received int
	RTT            []time.Duration // of those received, in the order sent
}

// Lost returns how many requests had no reply.
func (p Pings) Lost() int { return p.Sent - p.Received }

// Median returns the middle round-trip time, 0 without one.
func (p Pings) Median() time.Duration {
	if len(p.RTT) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(p.RTT))[len(p.RTT)/2]
}

// Pinger sends echo requests from one socket.
type Pinger struct {
	host *Host
	conn *icmp.PacketConn
	to   netip.Addr
	id   int
	seq  int
	data []byte
}

// NewPinger opens a socket for echo requests of size bytes of data, 16 or so
// for an ordinary one.
func (h *Host) NewPinger(to string, size int) *Pinger {
	h.tb.Helper()
	p := &Pinger{host: h, to: netip.MustParseAddr(to), data: make([]byte, size)}
	network, address := "ip4:icmp", "0.0.0.0"
	if p.to.Is6() {
		network, address = "ip6:ipv6-icmp", "::"
	}
	h.Do(func() {
		var err error
		p.conn, err = icmp.ListenPacket(network, address)
		h.check(err, "socket for echo requests")
	})
	h.tb.Cleanup(func() { _ = p.conn.Close() })
	p.id = int(linkCount.Add(1)) & 0xffff // its own replies only
	return p
}

// Send sends one request and returns its sequence number.
func (p *Pinger) Send() (seq int, err error) {
	p.seq++
	message := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: p.seq & 0xffff, Data: p.data}}
	if p.to.Is6() {
		message.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := message.Marshal(nil)
	if err != nil {
		return 0, err
	}
	_, err = p.conn.WriteTo(b, &net.IPAddr{IP: p.to.AsSlice()})
	return p.seq & 0xffff, err
}

// Receive waits for the reply to a request, false if there is none in time.
func (p *Pinger) Receive(seq int, wait time.Duration) bool {
	p.host.tb.Helper()
	p.host.check(p.conn.SetReadDeadline(time.Now().Add(wait)), "deadline")
	b := make([]byte, 1<<16)
	protocol, reply := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if p.to.Is6() {
		protocol, reply = 58, ipv6.ICMPTypeEchoReply
	}
	for {
		n, _, err := p.conn.ReadFrom(b)
		if os.IsTimeout(err) {
			return false
		}
		p.host.check(err, "echo reply")
		message, err := icmp.ParseMessage(protocol, b[:n])
		if err != nil || message.Type != reply {
			continue
		}
		if echo, ok := message.Body.(*icmp.Echo); ok && echo.ID == p.id && echo.Seq == seq {
			return true
		}
	}
}

// Ping sends count requests, each after the reply to the one before or after
// wait without it. What the kernel refuses to send counts as lost.
func (h *Host) Ping(to string, count int, wait time.Duration) Pings {
	h.tb.Helper()
	pinger := h.NewPinger(to, 16)
	var result Pings
	for range count {
		result.Sent++
		begin := time.Now()
		seq, err := pinger.Send()
		if err == nil && pinger.Receive(seq, wait) {
			result.Received++
			result.RTT = append(result.RTT, time.Since(begin))
		}
	}
	return result
}

// MustPing fails the test unless one reply comes. Requests are repeated each
// second, as a person's ping does, until [Patience] ends.
func (h *Host) MustPing(to string) {
	h.tb.Helper()
	for begin := time.Now(); time.Since(begin) < Patience; {
		if h.Ping(to, 1, time.Second).Received == 1 {
			return
		}
	}
	h.tb.Fatalf("%s: no reply from %s", h.Name, to)
}

// SetTrafficClass sets the DSCP and ECN bits of the requests.
func (p *Pinger) SetTrafficClass(class int) {
	p.host.tb.Helper()
	if p.to.Is6() {
		p.host.check(p.conn.IPv6PacketConn().SetTrafficClass(class), "traffic class")
		return
	}
	p.host.check(p.conn.IPv4PacketConn().SetTOS(class), "traffic class")
}
