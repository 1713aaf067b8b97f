package lookup

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// behaviour is how a server treats the questions for one name.
type behaviour struct {
	addrs    []netip.Addr
	rcode    dnsmessage.RCode
	truncate bool // by UDP there is only the advice to ask by TCP
	silent   bool // no answer at all
	noAAAA   bool // questions for IPv6 addresses get no answer
}

// server is a DNS server on one port for UDP and TCP.
type server struct {
	addr netip.AddrPort
	udp  net.PacketConn
	tcp  net.Listener

	mu    sync.Mutex // guards all below
	zone  map[string]behaviour
	asked map[string]int // questions by name and transport, such as "a.test. tcp"
}

// listen opens the sockets where it is called, and serves until the test's end.
// A name that zone doesn't have does not exist.
func listen(t *testing.T, addr string, zone map[string]behaviour) *server {
	t.Helper()
	s := &server{zone: zone, asked: map[string]int{}}
	for s.tcp == nil {
		var err error
		if s.udp, err = net.ListenPacket("udp", addr); err != nil {
			t.Fatal(err)
		}
		if s.tcp, err = net.Listen("tcp", s.udp.LocalAddr().String()); err != nil {
			s.udp.Close() // the port is another's; with port 0 there is another
			if netip.MustParseAddrPort(addr).Port() != 0 {
				t.Fatal(err)
			}
		}
	}
	s.addr = netip.MustParseAddrPort(s.udp.LocalAddr().String())
	var served sync.WaitGroup
	served.Go(s.serveUDP)
	served.Go(s.serveTCP)
	t.Cleanup(func() {
		s.udp.Close()
		s.tcp.Close()
		served.Wait()
	})
	return s
}

func (s *server) set(name string, b behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name] = b
}

func (s *server) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func (s *server) serveUDP() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := s.reply(buffer[:n], "udp"); reply != nil {
			s.udp.WriteTo(reply, from)
		}
	}
}

func (s *server) serveTCP() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var length [2]byte
			if _, err := io.ReadFull(conn, length[:]); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(conn, question); err != nil {
				return
			}
			if reply := s.reply(question, "tcp"); reply != nil {
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}()
	}
}

// reply answers a question, or returns nil for silence.
func (s *server) reply(text []byte, transport string) []byte {
	var message dnsmessage.Message
	if message.Unpack(text) != nil || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	name := question.Name.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[name+" "+transport]++
	b, exists := s.zone[name]
	if b.silent || b.noAAAA && question.Type == dnsmessage.TypeAAAA {
		return nil
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: message.ID, Response: true, RecursionAvailable: true, RCode: b.rcode},
		Questions: message.Questions,
	}
	switch {
	case !exists:
		reply.RCode = dnsmessage.RCodeNameError
	case b.truncate && transport == "udp":
		reply.Truncated = true
	case b.rcode == dnsmessage.RCodeSuccess:
		reply.Answers = answers(question, b.addrs)
	}
	packed, err := reply.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

func answers(q dnsmessage.Question, addrs []netip.Addr) (all []dnsmessage.Resource) {
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			all = append(all, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			all = append(all, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return all
}

// addrs parses addresses.
func addrs(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}
