//go:build linux

package testnet

import (
	"net"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// ServeDNS starts a name server on the host, which answers each question for an
// IPv4 address with the same one, to be kept for an hour, and has no other answer.
func (h *Host) ServeDNS(at, answer string) {
	h.tb.Helper()
	conn := h.ListenUDP(netip.AddrPortFrom(netip.MustParseAddr(at), 53).String())
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed at the test's end
			}
			reply(conn, from, b[:n], netip.MustParseAddr(answer))
		}
	}()
}

func reply(conn *net.UDPConn, to netip.AddrPort, question []byte, answer netip.Addr) {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 3600},
			Body:   &dnsmessage.AResource{A: answer.As4()},
		}}
	}
	if b, err := m.Pack(); err == nil {
		_, _ = conn.WriteToUDPAddrPort(b, to) // who asks in vain asks again
	}
}
