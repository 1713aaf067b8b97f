//go:build linux

package diagnosetest

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

func publicOf(t *testing.T, hexadecimal string) key.Public {
	t.Helper()
	k, err := key.ParsePublic(base64Of(hexadecimal))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// callFromTheFuture sends an initiation of the other side's, as if its clock were an hour and a half ahead. That it came from another port is put right.
func callFromTheFuture(t *testing.T, p *testnet.Pair) {
	t.Helper()
	private, err := key.ParsePrivate(base64Of(p.B.Daemon.Key.Private))
	if err != nil {
		t.Fatal(err)
	}
	us := publicOf(t, p.A.Daemon.Key.Public)
	var m wire.Initiation
	if _, err := noise.Initiate(noise.NewLocal(&private), noise.NewRemote(us), 1, noise.Stamp(time.Now().Add(90*time.Minute+30*time.Second)), rand.Reader, &m); err != nil {
		t.Fatal(err)
	}
	cookie.NewGenerator(us).AddMACs(m[:], 0)
	socket := p.B.DialUDP(p.A.Endpoint(false))
	if _, err := socket.Write(m[:]); err != nil {
		t.Fatal(err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Read(make([]byte, 1500)); err != nil {
		t.Fatalf("no response: %v", err)
	}
	p.A.Knows(p.B, p.B.Endpoint(false))
}

// flood keeps the other side under load with handshake messages that know its key and nothing else, until the test ends. Bursts do: what
// is under load stays so for a second.
func flood(t *testing.T, p *testnet.Pair) {
	t.Helper()
	macs := cookie.NewGenerator(publicOf(t, p.B.Daemon.Key.Public))
	var messages [512]wire.Initiation
	for i := range messages {
		_, _ = rand.Read(messages[i][:]) // it never fails
		copy(messages[i][:], []byte{1, 0, 0, 0})
		macs.AddMACs(messages[i][:], 0)
	}
	socket := p.A.ListenUDP(p.A.Outer4 + ":0")
	to := netip.MustParseAddrPort(p.B.Endpoint(false))
	ended, stop := make(chan struct{}), make(chan struct{})
	burst := func() {
		for i := range messages {
			_, _ = socket.WriteToUDPAddrPort(messages[i][:], to) // some are enough
		}
	}
	burst()
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				burst()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
}
