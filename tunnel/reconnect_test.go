package tunnel

import (
	"bytes"
	"encoding/binary"
	"testing"

	"vpn/rekey"
)

// TestAllReconnect is the hour after a power cut: ten thousand peers shake hands with one host at the same moment, and those that were not
// answered do so again every RekeyTimeout, while a peer that is in talks with the host. All have a session after as few rounds as the
// bounds of the handshake queue allow, and the one that talks loses nothing.
func TestAllReconnect(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 2_000
	}
	inWorld(t, func(t *testing.T, w *world) {
		h, talker := w.newSession()
		c := newCrowd(h, n)
		// The first underLoadLen are let in as they come. From then on it takes a cookie, and the whole queue is there for those who have one.
		rounds := 1 + (n-underLoadLen+handshakeQueueLen-1)/handshakeQueueLen
		sent := 0
		for round := 1; c.in() < n; round++ {
			if round > rounds {
				t.Fatalf("%d of %d are in after %d rounds", c.in(), n, rounds)
			}
			was := c.in()
			for i, m := range c.members {
				if m.session == nil {
					m.call()
				}
				if i%100 == 0 {
					h.put(numbered(h.packetTo(talker), sent))
					talker.put(numbered(talker.packetTo(h), sent))
					sent++
				}
			}
			c.hear()
			t.Logf("round %d: %d are in", round, c.in())
			if least := underLoadLen; round == 1 && c.in() < min(n, least) || round > 1 && c.in() < min(n, was+handshakeQueueLen) {
				t.Errorf("only %d are answered in round %d", c.in()-was, round)
			}
			if ring := len(h.handshakes.arrived); ring > underLoadLen {
				t.Errorf("room for %d handshake messages is kept for an empty queue", ring)
			}
			w.sleep(rekey.RekeyTimeout)
		}
		c.hear()
		wantKnown(c, c.members)

		for to, got := range map[*host][][]byte{h: h.received(), talker: talker.received()} {
			if len(got) != sent {
				t.Errorf("host %d got %d packets while all others reconnected, want %d", to.number, len(got), sent)
			}
			for i, p := range got {
				if numberOf(p) != i {
					t.Fatalf("host %d: number %d is packet %d", to.number, i, numberOf(p))
				}
			}
		}
		drops := h.Drops()
		if drops[CookieDemanded] == 0 {
			t.Error("no cookie was demanded")
		}
		for why := range reasons {
			if drops[why] != 0 && why != CookieDemanded && why != HandshakeQueueFull {
				t.Errorf("%d: %v", drops[why], why)
			}
		}
		if got := h.index.len(); got != n+1 {
			t.Errorf("%d indices are in use by %d sessions", got, n+1)
		}
		if got := h.arena.Live(); got != 2*(n+1) {
			t.Errorf("%d keys live for %d sessions", got, n+1)
		}
	})
}

// numbered writes a number into a packet's payload.
func numbered(p []byte, n int) []byte {
	p = bytes.Clone(p)
	binary.BigEndian.PutUint32(p[len(p)-4:], uint32(n))
	return p
}

func numberOf(p []byte) int { return int(binary.BigEndian.Uint32(p[len(p)-4:])) }
