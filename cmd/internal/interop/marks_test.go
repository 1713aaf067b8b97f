//go:build linux

package interop

import (
	"fmt"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestTrafficClass holds handshakes to DSCP AF41, and outer data messages to the
// inner packet's ECN field: CE becomes ECT(0), as RFC 6040 has it.
func TestTrafficClass(t *testing.T) {
	const af41 = 0x88
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, six)
				capture := testnet.NewCapture(n.A.Outer)
				for i, innerSix := range []bool{false, true} {
					for inTOS, want := range map[int]byte{0: 0, 1: 1, 2: 2, 3: 2, af41: 0, af41 | 2: 2} {
						from := len(capture.Messages())
						pinger := n.A.NewPinger(inner(n.B, innerSix), 100+i)
						pinger.SetTrafficClass(inTOS)
						seq, err := pinger.Send()
						if err != nil || !pinger.Receive(seq, testnet.Patience) {
							t.Fatalf("no reply to %#02x: %v; messages: %v", inTOS, err, summary(capture.Messages()))
						}
						found := false
						for _, m := range capture.Messages()[from:] {
							if m.Outgoing && m.Type() == 4 && len(m.Payload) > 100 {
								found = true
								if m.TOS != want {
									t.Errorf("inner %#02x: outer %#02x, want %#02x", inTOS, m.TOS, want)
								}
							}
						}
						if !found {
							t.Error("the message was not seen")
						}
					}
				}
				seen := map[byte]bool{}
				for _, m := range capture.Messages() {
					if m.Type() == 1 || m.Type() == 2 {
						seen[m.Type()] = true
						if sender := p.of(m.Outgoing); sender == ours && m.TOS != af41 {
							t.Errorf("handshake message %d with %#02x, want AF41", m.Type(), m.TOS)
						}
					}
				}
				if fmt.Sprint(seen) != "map[1:true 2:true]" {
					t.Errorf("seen of the handshake: %v", seen)
				}
			})
		}
	})
}

// of returns who sent a message that was captured at A.
func (p pair) of(outgoing bool) testnet.Kind {
	if outgoing {
		return p.a
	}
	return p.b
}
