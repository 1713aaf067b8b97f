package tunnel

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"vpn/noise"
	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tunnel/uapi"
)

// What is in this file makes messages by hand: what a modified engine or an attacker would send.

// seal makes a data message of a host's session with another: any plaintext, with the next counter.
func (h *host) seal(to *host, plaintext []byte) datagram {
	h.w.t.Helper()
	k := h.peer(to).machine.Sending()
	if k == nil || !k.Acquire(h.clock.Now()) {
		h.w.t.Fatalf("host %d has no session with %d", h.number, to.number)
	}
	defer k.Release()
	counter, ok := k.Reserve(1)
	if !ok {
		h.w.t.Fatal("no counter is left")
	}
	b := make([]byte, wire.SizeDataHeader+len(plaintext)+aead.Overhead)
	wire.PutDataHeader(b, k.RemoteIndex(), counter)
	copy(b[wire.SizeDataHeader:], plaintext)
	k.SendKey().Seal(b[wire.SizeDataHeader:], counter)
	return datagram{from: h.outer4(), to: to.outer4(), data: b}
}

// A caller makes initiations by hand, with a static key that the one who is called may know.
type caller struct {
	t       testing.TB
	local   *noise.Local
	remote  *noise.Remote
	from    netip.AddrPort
	to      *host
	cookies *cookie.Generator
}

func newCaller(private *key.Private, from netip.AddrPort, to *host) *caller {
	return &caller{
		t: to.w.t, local: noise.NewLocal(private), remote: noise.NewRemote(to.public()),
		from: from, to: to, cookies: cookie.NewGenerator(to.public()),
	}
}

// initiation makes an initiation with a timestamp and both MACs.
func (c *caller) initiation(at time.Time) datagram {
	c.t.Helper()
	var m wire.Initiation
	i, err := noise.Initiate(c.local, c.remote, 7, noise.Stamp(at), rand.Reader, &m)
	if err != nil {
		c.t.Fatal(err)
	}
	i.Erase()
	return c.sign(m[:])
}

// junk makes a message of an initiation's form which costs its maker nothing but the MACs.
func (c *caller) junk() datagram {
	var m wire.Initiation
	rand.Read(m[:])
	m.SetHeader(7)
	clear(m.MAC2()[:])
	return c.sign(m[:])
}

func (c *caller) sign(m []byte) datagram {
	c.cookies.AddMACs(m, c.to.clock.Now())
	return datagram{from: c.from, to: c.to.outer4(), data: m}
}

// answers are the messages of a kind that were sent to the caller.
func (c *caller) answers(kind wire.Type) []datagram { return find(c.to.w.sent(), c.from, kind) }

// find returns the messages of a kind that went to an address.
func find(log []datagram, to netip.AddrPort, kind wire.Type) (found []datagram) {
	for _, d := range log {
		if d.to == to && d.kind() == kind {
			found = append(found, d)
		}
	}
	return found
}

// count is how many messages of a kind are in a log.
func count(log []datagram, kind wire.Type) (n int) {
	for _, d := range log {
		if d.kind() == kind {
			n++
		}
	}
	return n
}

// lose loses the messages of a kind that go to an address.
func lose(to netip.AddrPort, kind wire.Type) func(d *datagram) bool {
	return func(d *datagram) bool { return d.to != to || d.kind() != kind }
}

// elsewhere is an address where nobody is known to be.
var elsewhere = netip.MustParseAddrPort("198.51.100.9:40000")

// newPrivateKey makes a private key.
func newPrivateKey(t testing.TB) key.Private {
	t.Helper()
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newPreshared(t testing.TB) key.Preshared {
	t.Helper()
	k, err := key.NewPreshared(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wantPackets checks that exactly these packets came, in this order.
func wantPackets(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d packets arrived, want %d", len(got), len(want))
		return
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d is another one", i)
			return
		}
	}
}

// peers is a configuration that sets peers and nothing else.
func peers(p ...uapi.PeerConfig) *uapi.Config { return &uapi.Config{Peers: p} }

// dropped is how much an engine has dropped for a reason.
func (h *host) dropped(why Reason) uint64 {
	h.w.wait()
	return h.Drops()[why]
}

// wantDropped checks how much an engine has dropped for a reason so far.
func (h *host) wantDropped(why Reason, n uint64) {
	h.w.t.Helper()
	if got := h.dropped(why); got != n {
		h.w.t.Errorf("host %d dropped %d: %v, want %d", h.number, got, why, n)
	}
}
