//go:build linux

package residue

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/noise/wire"
)

// A peer is the other side of a tunnel: on the daemon's own host, where it needs no more than a socket.
type peer struct {
	t      *testing.T
	host   *testnet.Host
	socket *net.UDPConn
	daemon [32]byte // its public key
	key    *ecdh.PrivateKey
	psk    [32]byte
	number byte // of the inner address 10.77.number.2; the daemon's ends with 1

	index uint32
	stamp time.Time
}

func newPeer(t *testing.T, h *testnet.Host, number byte) *peer {
	t.Helper()
	p := &peer{t: t, host: h, socket: h.ListenUDP("127.0.0.1:0"), key: newKey(), number: number, index: 1000 * uint32(number), stamp: time.Now()}
	rand.Read(p.psk[:])
	return p
}

func (p *peer) inner() string   { return fmt.Sprintf("10.77.%d.2", p.number) }
func (p *peer) outer() string   { return p.socket.LocalAddr().String() }
func (p *peer) keyText() string { k := public(p.key); return hex.EncodeToString(k[:]) }
func (p *peer) pskText() string { return hex.EncodeToString(p.psk[:]) }
func (p *peer) lines() []string {
	return []string{"public_key=" + p.keyText(), "preshared_key=" + p.pskText(), "endpoint=" + p.outer(), "allowed_ip=" + p.inner() + "/32"}
}
func (p *peer) secretPSK() secret { return secret{"preshared key", p.psk} }

func (p *peer) check(err error, what string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("peer %d: %s: %v", p.number, what, err)
	}
}

func (p *peer) send(m []byte, to netip.AddrPort) {
	p.t.Helper()
	_, err := p.socket.WriteToUDPAddrPort(m, to)
	p.check(err, "send")
}

// await returns the next message of a type.
func (p *peer) await(want wire.Type) ([]byte, netip.AddrPort) {
	p.t.Helper()
	m, from, err := p.receive(want, testnet.Patience)
	p.check(err, fmt.Sprintf("wait for a message of type %d", want))
	return m, from
}

func (p *peer) receive(want wire.Type, patience time.Duration) ([]byte, netip.AddrPort, error) {
	p.t.Helper()
	p.check(p.socket.SetReadDeadline(time.Now().Add(patience)), "deadline")
	b := make([]byte, 2048)
	for {
		n, from, err := p.socket.ReadFromUDPAddrPort(b)
		if err != nil {
			return nil, from, err
		}
		if kind, ok := wire.Classify(b[:n]); ok && kind == want {
			return b[:n], from, nil
		}
	}
}

// drain throws away what waits to be read: where all is slow, the daemon has begun handshakes of its own, and given them up.
func (p *peer) drain() {
	p.t.Helper()
	p.check(p.socket.SetReadDeadline(time.Time{}), "no deadline")
	raw, err := p.socket.SyscallConn()
	p.check(err, "descriptor")
	p.check(raw.Read(func(fd uintptr) (done bool) {
		for b := make([]byte, 2048); err == nil; {
			_, _, err = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
		}
		return true
	}), "drain")
	if !errors.Is(err, unix.EAGAIN) {
		p.check(err, "drain")
	}
}

// A session is one that the peer has with the daemon, and all that was computed for it.
type session struct {
	p             *peer
	send, receive [32]byte
	index         uint32 // the daemon's
	counter       uint64
	to            netip.AddrPort
	secrets       []secret
	since         time.Time // no earlier than the daemon's own
}

// keys are the session's two.
func (s *session) keys() []secret { return s.secrets[len(s.secrets)-2:] }

// initiate shakes hands with the daemon at a port, and confirms the session.
func (p *peer) initiate(port int) *session {
	p.t.Helper()
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	var h *handshake
	var ephemeral *ecdh.PrivateKey
	var r *wire.Response
	// A daemon whose link has just come up may not be listening yet, and one answers no two initiations at once.
	testnet.Until(p.t, "an initiation is answered", func() bool {
		p.index++
		p.stamp = p.stamp.Add(time.Second)
		h, ephemeral = begin(p.daemon), newKey()
		m, err := h.initiation(p.key, ephemeral, p.daemon, p.index, p.stamp)
		p.check(err, "initiation")
		p.send(m, to)
		b, _, err := p.receive(wire.TypeResponse, time.Second)
		if err == nil {
			r = wire.AsResponse(b)
		}
		return err == nil && r.Receiver() == p.index
	})
	p.check(h.readResponse(r, p.key, ephemeral, p.psk), "response")
	s := &session{p: p, index: r.Sender(), to: to, since: time.Now()}
	s.send, s.receive = h.split()
	s.secrets = h.noted
	s.ping(1)
	return s
}

// respond has the daemon shake hands with the peer.
func (p *peer) respond() *session {
	p.t.Helper()
	p.index++
	p.drain()
	wake := p.host.DialUDP(p.inner() + ":9")
	_, err := wake.Write([]byte("for you"))
	p.check(err, "send a packet into the tunnel")
	b, from := p.await(wire.TypeInitiation)
	m, ephemeral, h := wire.AsInitiation(b), newKey(), begin(public(p.key))
	p.check(h.readInitiation(m, p.key, p.daemon), "initiation")
	r, err := h.response(m, ephemeral, p.daemon, p.psk, p.index)
	p.check(err, "response")
	p.send(r, from)
	s := &session{p: p, index: m.Sender(), to: from}
	s.receive, s.send = h.split()
	s.secrets = h.noted
	s.open() // what had to wait for the session, or a keepalive
	s.since = time.Now()
	s.ping(1)
	return s
}

// ping sends so many echo requests through the tunnel, and has each answered.
func (s *session) ping(n int) {
	s.p.t.Helper()
	for i := range n {
		s.seal(echoRequest(s.p.number, uint16(i)))
		for echo := s.open(); len(echo) < 21 || echo[9] != 1 || echo[20] != 0; {
			echo = s.open()
		}
	}
}

func nonce(counter uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4), counter)
}

func (s *session) seal(packet []byte) {
	c, _ := chacha20poly1305.New(s.send[:])
	m := make([]byte, wire.SizeDataHeader, wire.SizeDataHeader+len(packet)+c.Overhead())
	wire.PutDataHeader(m, s.index, s.counter)
	s.p.send(c.Seal(m, nonce(s.counter), packet, nil), s.to)
	s.counter++
}

// open returns the next packet of the session.
func (s *session) open() []byte {
	s.p.t.Helper()
	c, _ := chacha20poly1305.New(s.receive[:])
	for {
		m, _ := s.p.await(wire.TypeData)
		if packet, err := c.Open(nil, nonce(wire.DataCounter(m)), m[wire.SizeDataHeader:], nil); err == nil {
			return packet
		}
	}
}

// echoRequest is a ping of 1,200 bytes to the daemon's inner address.
func echoRequest(number byte, sequence uint16) []byte {
	const size = 1200
	b := make([]byte, size)
	b[0], b[8], b[9] = 0x45, 64, 1
	binary.BigEndian.PutUint16(b[2:], size)
	copy(b[12:], []byte{10, 77, number, 2, 10, 77, number, 1})
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	b[20] = 8
	binary.BigEndian.PutUint16(b[26:], sequence)
	binary.BigEndian.PutUint16(b[22:], checksum(b[20:]))
	return b
}

func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
