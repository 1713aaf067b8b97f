//go:build linux

package testnet

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestReferencePair(t *testing.T) {
	p := NewPair(t, WireGuardGo, WireGuardGo, 0, false)
	capture := NewCapture(p.B.Outer)
	p.A.MustPing(p.B.Inner4)
	p.A.MustPing(p.B.Inner6)
	if m := capture.Messages(); len(m) < 4 || m[0].Type() != 1 || m[1].Type() != 2 || m[0].Outgoing || !m[1].Outgoing {
		t.Errorf("captured %d messages, which do not begin with a handshake", len(m))
	}
	Dial(p.A.Host, p.B.Host, p.B.Inner4).Both(20<<20, Patience)
	Dial(p.B.Host, p.A.Host, p.A.Inner6).Transfer(20<<20, Patience)
	if flow := Blast(p.A.Host, p.B.Host, p.B.Inner4, 1000, 512, 1000, time.Second); flow.Lost() > 500 || flow.Doubled > 0 {
		t.Errorf("blast: %+v", flow)
	}
	state := p.A.Daemon.Get()
	if state.Number(p.B.Daemon.Key.Public, "rx_bytes") < 20<<20 {
		t.Errorf("state: %v", state)
	}
}
