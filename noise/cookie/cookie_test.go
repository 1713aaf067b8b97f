package cookie

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"vpn/noise/key"
	"vpn/noise/wire"
)

var (
	public  = key.Public{1, 2, 3}
	here    = netip.MustParseAddrPort("192.0.2.1:51820")
	start   = 1000 * time.Second
	instant = time.Nanosecond
)

// message returns an initiation or a response with random content.
func message(t testing.TB, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// exchange is one message with its macs, and the cookie reply to it.
func exchange(t testing.TB, c *Checker, g *Generator, from netip.AddrPort, now time.Duration) ([]byte, *wire.CookieReply) {
	t.Helper()
	msg := message(t, wire.SizeInitiation)
	g.AddMACs(msg, now)
	reply := new(wire.CookieReply)
	if err := c.Reply(msg, from, now, rand.Reader, reply); err != nil {
		t.Fatal(err)
	}
	return msg, reply
}

// withCookie returns a checker, and a generator that has its cookie for an address.
func withCookie(t testing.TB, from netip.AddrPort, now time.Duration) (*Checker, *Generator) {
	t.Helper()
	c, g := NewChecker(public), NewGenerator(public)
	_, reply := exchange(t, c, g, from, now)
	if !g.Consume(reply, now) {
		t.Fatal("cookie reply not consumed")
	}
	return c, g
}

func TestMAC1(t *testing.T) {
	c, g := NewChecker(public), NewGenerator(public)
	for _, size := range []int{wire.SizeInitiation, wire.SizeResponse} {
		msg := message(t, size)
		if c.CheckMAC1(msg) {
			t.Error("a random mac1 is good")
		}
		g.AddMACs(msg, start)
		if !c.CheckMAC1(msg) {
			t.Error("our own mac1 is bad")
		}
		if !bytes.Equal(msg[size-16:], make([]byte, 16)) {
			t.Error("without a cookie mac2 is not zero")
		}
		if NewChecker(key.Public{4}).CheckMAC1(msg) {
			t.Error("mac1 is good for another public key")
		}
		for i := range size - 16 {
			msg[i] ^= 1
			if c.CheckMAC1(msg) {
				t.Errorf("mac1 is good with byte %d of %d changed", i, size)
			}
			msg[i] ^= 1
		}
	}
}

func TestNotHandshakeMessages(t *testing.T) {
	c := NewChecker(public)
	for _, size := range []int{0, 4, 31, 32, 33, 64, 91, 93, 147, 149, 1500} {
		msg := make([]byte, size)
		out := &wire.CookieReply{1}
		if c.CheckMAC1(msg) || c.CheckMAC2(msg, here, start) {
			t.Errorf("%d bytes have good macs", size)
		}
		if err := c.Reply(msg, here, start, rand.Reader, out); !errors.Is(err, ErrMessage) || *out != (wire.CookieReply{}) {
			t.Errorf("reply to %d bytes: %v, want %v, and no message", size, err, ErrMessage)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AddMACs takes %d bytes", size)
				}
			}()
			NewGenerator(public).AddMACs(msg, start)
		}()
	}
}

func TestMAC2(t *testing.T) {
	c, g := withCookie(t, here, start)
	msg := message(t, wire.SizeResponse)
	g.AddMACs(msg, start)
	if !c.CheckMAC1(msg) || !c.CheckMAC2(msg, here, start) {
		t.Fatal("our own macs are bad")
	}
	mapped := netip.AddrPortFrom(netip.AddrFrom16(here.Addr().As16()), here.Port())
	if !c.CheckMAC2(msg, mapped, start) {
		t.Error("mac2 is bad from the same address in its mapped form")
	}
	// "mac2 wrong, stale, from another address or port: as if there were no cookie"
	for _, other := range []string{"192.0.2.1:51821", "192.0.2.1:0", "192.0.2.2:51820", "[2001:db8::1]:51820"} {
		if c.CheckMAC2(msg, netip.MustParseAddrPort(other), start) {
			t.Errorf("mac2 for %v is good from %s", here, other)
		}
	}
	for i := range msg {
		msg[i] ^= 1
		if c.CheckMAC2(msg, here, start) {
			t.Errorf("mac2 is good with byte %d changed", i)
		}
		msg[i] ^= 1
	}
	if NewChecker(public).CheckMAC2(msg, here, start) {
		t.Error("mac2 is good before there was a secret")
	}
	zero := make([]byte, wire.SizeResponse)
	if c.CheckMAC2(zero, here, start) || NewChecker(public).CheckMAC2(zero, here, 0) {
		t.Error("a mac2 of zeros is good")
	}
}

// "R_m [...] is changed every two minutes"
func TestSecretRotates(t *testing.T) {
	const lifetime = 120 * time.Second
	c, g := withCookie(t, here, start)
	msg := message(t, wire.SizeInitiation)
	g.AddMACs(msg, start)
	if !c.CheckMAC2(msg, here, start+lifetime-instant) {
		t.Error("a cookie is stale before its time")
	}
	if c.CheckMAC2(msg, here, start+lifetime) {
		t.Error("a cookie outlives its secret")
	}
	old := c.secret
	exchange(t, c, g, here, start+lifetime-instant)
	if c.secret != old {
		t.Error("the secret changes before its time")
	}
	exchange(t, c, g, here, start+lifetime)
	if c.secret == old || c.born != start+lifetime {
		t.Error("the secret doesn't change")
	}
	if c.CheckMAC2(msg, here, start+lifetime) {
		t.Error("a cookie is good under another secret")
	}
}

func TestCookieLifetime(t *testing.T) {
	_, g := withCookie(t, here, start)
	for _, c := range []struct {
		now  time.Duration
		want bool
	}{{start, true}, {start + CookieLifetime - instant, true}, {start + CookieLifetime, false}, {start + time.Hour, false}} {
		msg := message(t, wire.SizeInitiation)
		g.AddMACs(msg, c.now)
		if has := !bytes.Equal(wire.AsInitiation(msg).MAC2()[:], make([]byte, 16)); has != c.want || g.HasCookie(c.now) != c.want {
			t.Errorf("%v after the cookie came: mac2 %t, HasCookie %t, want %t", c.now-start, has, g.HasCookie(c.now), c.want)
		}
	}
	if CookieLifetime != 115*time.Second {
		t.Errorf("cookies are used for %v", CookieLifetime)
	}
}

func TestUnsolicitedAndReplayedReplies(t *testing.T) {
	c, g := NewChecker(public), NewGenerator(public)
	_, stray := exchange(t, c, NewGenerator(public), here, start)
	if g.Consume(stray, start) {
		t.Error("a reply is consumed before anything was sent")
	}
	_, late := exchange(t, c, g, here, start)
	if g.Consume(stray, start) {
		t.Error("a reply to somebody else is consumed")
	}
	_, reply := exchange(t, c, g, here, start)
	if g.Consume(late, start) {
		t.Error("a reply to an earlier message is consumed")
	}
	for i := 8; i < len(reply); i++ {
		reply[i] ^= 1
		if g.Consume(reply, start) {
			t.Errorf("a reply is consumed with byte %d changed", i)
		}
		reply[i] ^= 1
	}
	if g.HasCookie(start) {
		t.Error("there is a cookie out of bad replies")
	}
	if !g.Consume(reply, start) {
		t.Fatal("a good reply is not consumed after bad ones")
	}
	if g.Consume(reply, start+time.Second) {
		t.Error("a reply is consumed twice")
	}
	if !g.HasCookie(start+CookieLifetime-instant) || g.HasCookie(start+CookieLifetime) {
		t.Error("a replayed reply changes how long its cookie is used")
	}
	// Another message may be answered again.
	_, next := exchange(t, c, g, here, start+time.Minute)
	if !g.Consume(next, start+time.Minute) || !g.HasCookie(start+time.Minute+CookieLifetime-instant) {
		t.Error("the reply to a later message is not consumed")
	}
}

func TestReply(t *testing.T) {
	c, g := NewChecker(public), NewGenerator(public)
	msg := message(t, wire.SizeResponse)
	g.AddMACs(msg, start)
	reply := new(wire.CookieReply)
	if err := c.Reply(msg, here, start, rand.Reader, reply); err != nil {
		t.Fatal(err)
	}
	if typ, ok := wire.Classify(reply[:]); typ != wire.TypeCookieReply || !ok || reply.Receiver() != wire.AsResponse(msg).Sender() {
		t.Errorf("reply is %v to %#x, want one to %#x", typ, reply.Receiver(), wire.AsResponse(msg).Sender())
	}
	bad := errors.New("no entropy")
	short := io.MultiReader(bytes.NewReader(make([]byte, 40)), iotest.ErrReader(bad)) // enough for a secret
	for _, r := range []io.Reader{iotest.ErrReader(bad), short} {
		fresh := NewChecker(public)
		if err := fresh.Reply(msg, here, start, r, reply); !errors.Is(err, bad) || *reply != (wire.CookieReply{}) {
			t.Errorf("without randomness: %v, want %v, and no message", err, bad)
		}
	}
}

func TestSecretNotMade(t *testing.T) {
	c, g := withCookie(t, here, start)
	msg := message(t, wire.SizeInitiation)
	g.AddMACs(msg, start)
	later := start + SecretLifetime
	half := io.MultiReader(bytes.NewReader(make([]byte, 7)), iotest.ErrReader(io.ErrNoProgress))
	if err := c.Reply(msg, here, later, half, new(wire.CookieReply)); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
	if c.CheckMAC2(msg, here, later) || !c.CheckMAC2(msg, here, later-instant) {
		t.Error("a secret half made takes the place of the old one")
	}
}

func TestErase(t *testing.T) {
	c, g := withCookie(t, here, start)
	_, reply := exchange(t, c, g, here, start)
	state := g.state
	g.Erase()
	g.Erase()
	if *state != (generated{}) || g.HasCookie(start) || g.Consume(reply, start) {
		t.Error("an erased generator has a cookie, or takes one")
	}
	if NewGenerator(public).state != nil {
		t.Error("a generator that was never used holds state")
	}
}

// foreign is wireguard-go's idea of the same.
func TestWireGuardGo(t *testing.T) {
	var c device.CookieChecker
	var g device.CookieGenerator
	c.Init(device.NoisePublicKey(public))
	g.Init(device.NoisePublicKey(public))
	address := []byte("an address")

	ours := NewGenerator(public)
	msg := message(t, wire.SizeInitiation)
	ours.AddMACs(msg, start)
	if !c.CheckMAC1(msg) {
		t.Error("wireguard-go refuses our mac1")
	}
	theirs, err := c.CreateReply(msg, wire.AsInitiation(msg).Sender(), address)
	if err != nil {
		t.Fatal(err)
	}
	var reply wire.CookieReply
	if _, err := binary.Encode(reply[:], binary.LittleEndian, theirs); err != nil {
		t.Fatal(err)
	}
	if !ours.Consume(&reply, start) {
		t.Fatal("we refuse wireguard-go's cookie")
	}
	ours.AddMACs(msg, start)
	if !c.CheckMAC2(msg, address) {
		t.Error("wireguard-go refuses our mac2")
	}

	checker := NewChecker(public)
	g.AddMacs(msg)
	if !checker.CheckMAC1(msg) {
		t.Error("we refuse wireguard-go's mac1")
	}
	if err := checker.Reply(msg, here, start, rand.Reader, &reply); err != nil {
		t.Fatal(err)
	}
	if _, err := binary.Decode(reply[:], binary.LittleEndian, theirs); err != nil {
		t.Fatal(err)
	}
	if !g.ConsumeReply(theirs) {
		t.Fatal("wireguard-go refuses our cookie")
	}
	if g.AddMacs(msg); !checker.CheckMAC2(msg, here, start) {
		t.Error("we refuse wireguard-go's mac2")
	}
}

func TestConcurrentChecks(t *testing.T) {
	c, g := withCookie(t, here, start)
	msg := message(t, wire.SizeInitiation)
	g.AddMACs(msg, start)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				now := start + time.Duration(i)*time.Second
				if !c.CheckMAC1(msg) {
					t.Error("mac1 is bad")
				}
				c.CheckMAC2(msg, here, now)
				if err := c.Reply(msg, here, now, rand.Reader, new(wire.CookieReply)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzConsume(f *testing.F) {
	c, g := NewChecker(public), NewGenerator(public)
	_, good := exchange(f, c, g, here, start)
	f.Add(good[:])
	f.Add(make([]byte, wire.SizeCookieReply))
	forged := *good
	forged[40] ^= 1
	f.Add(forged[:])
	sent := *g.state
	f.Fuzz(func(t *testing.T, b []byte) {
		var reply wire.CookieReply
		copy(reply[:], b)
		state := sent
		one := &Generator{public: public, state: &state}
		// The receiver's index only finds the generator: it is not sealed.
		want := bytes.Equal(reply[8:], good[8:])
		if got := one.Consume(&reply, start); got != want || one.HasCookie(start) != want {
			t.Fatalf("Consume is %t, HasCookie %t, want %t: %x", got, one.HasCookie(start), want, reply)
		}
	})
}

func FuzzCheck(f *testing.F) {
	c, g := withCookie(f, here, start)
	for _, size := range []int{wire.SizeInitiation, wire.SizeResponse} {
		msg := message(f, size)
		g.AddMACs(msg, start)
		f.Add(msg, here.Port())
		f.Add(msg[1:], uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		from := netip.AddrPortFrom(here.Addr(), port)
		one, two := c.CheckMAC1(b), c.CheckMAC2(b, from, start)
		if len(b) != wire.SizeInitiation && len(b) != wire.SizeResponse {
			if one || two {
				t.Fatalf("%d bytes have good macs", len(b))
			}
			return
		}
		msg := bytes.Clone(b)
		g.AddMACs(msg, start)
		if want := bytes.Equal(msg[:len(msg)-16], b[:len(b)-16]); one != want {
			t.Fatalf("mac1 is %t, want %t", one, want)
		} else if two && port != here.Port() {
			t.Fatalf("mac2 for port %d is good from port %d", here.Port(), port)
		}
	})
}
