package tunnel_test

import (
	"crypto/rand"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// Who asks for thousands of peers and then reads nothing holds no lock: others configure all of them, and packets flow.
func TestDeafClientHoldsNothing(t *testing.T) {
	a, b := newPair(t)
	many := &uapi.Config{}
	for range 5000 { // more than a socket holds
		var public key.Public
		rand.Read(public[:])
		many.Peers = append(many.Peers, uapi.PeerConfig{PublicKey: public})
	}
	a.set(t, many)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := uapi.NewServer(a.Tunnel, testLogger(t))
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	deaf := dial()
	defer deaf.Close()
	if _, err := io.WriteString(deaf, "get=1\n\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(deaf, make([]byte, 1)); err != nil { // the answer has begun
		t.Fatal(err)
	}

	done := make(chan error, 1)
	go func() {
		c := uapi.NewClient("a", dial())
		defer c.Close()
		limit, err := 60*time.Second, error(nil)
		for range 3 { // each concerns every peer
			limit += time.Second
			if err = c.Set(&uapi.Config{RekeyAfterTime: &limit}); err != nil {
				break
			}
			if _, err = c.Get(); err != nil {
				break
			}
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
		transfer(t, a, b, b.v4, 1<<20)
	case <-time.After(30 * time.Second):
		t.Error("the tunnel can't be configured while somebody does not read")
	}
	deaf.Close()
	server.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
