//go:build linux

package churntest

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"

	"golang.org/x/net/ipv4"
)

const (
	floodRate   = 20_000 // initiations a second
	floodTime   = 5 * time.Second
	floodTick   = time.Millisecond
	floodBurst  = 128  // most in a tick: what a slow machine is behind with is not made up for
	floodForged = 1024 // different ones
	answerTime  = 250 * time.Millisecond

	// floodBytes is how much larger a hub may be in a flood, and after it: the queue of handshakes comes to a megabyte, as does the
	// garbage of its growing, and what has been free for minutes only goes back to the kernel.
	floodBytes = 8 << 20
)

// TestFloodLeavesNothing sends a hub forged initiations with a good mac1, each from another address, faster than it could work on them.
// Who brings a cookie gets in meanwhile, and those who are in lose nothing. When it is over, the hub is what it was before.
func TestFloodLeavesNothing(t *testing.T) {
	w := newWorld(t, testnet.Plain)
	crowd, packets := w.addCrowdHost()
	c := newCallers(t, w.hub.Key.Public, 1)[0]
	configure(w.hub, []*caller{c}, 1)
	conn := crowd.ListenUDP(netip.AddrPortFrom(c.from, 51821).String())
	w.settle()
	before := levelOf(t, w.hub.PID())

	stop := flood(t, packets, w.hub.Key.Public)
	over := time.After(floodTime)
	c.enterByCookie(t, conn)
	<-over
	during := levelOf(t, w.hub.PID())
	sent := stop()
	t.Logf("%d initiations; before %.0f, in the flood %.0f", sent, before, during)
	if during.bytes > before.bytes+floodBytes {
		t.Errorf("%.0f bytes of memory in the flood, %.0f before", during.bytes, before.bytes)
	}
	w.onlyTheKernelLost()
	handshake := w.steady().lastHandshake(w)
	testnet.Until(t, "the session is renewed", func() bool { return w.steady().lastHandshake(w) != handshake })
	var after level
	testnet.Until(t, "the hub is what it was before the flood", func() bool {
		after = levelOf(t, w.hub.PID())
		return after.goroutines <= before.goroutines+lateGoroutines && after.descriptors <= before.descriptors && after.bytes <= before.bytes+floodBytes
	})
	t.Logf("after %.0f", after)
}

// flood sends forged initiations to the hub until the function that it returns is called, which returns how many it were. Nobody reads
// the answers.
func flood(t *testing.T, packets *ipv4.PacketConn, hub string) (stop func() (sent int)) {
	t.Helper()
	public, err := hex.DecodeString(hub)
	if err != nil {
		t.Fatal(err)
	}
	macs := cookie.NewGenerator(key.Public(public))
	forged := make([]wire.Initiation, floodForged)
	for i := range forged {
		_, _ = rand.Read(forged[i][:]) // never fails
		binary.LittleEndian.PutUint32(forged[i][:], uint32(wire.TypeInitiation))
		macs.AddMACs(forged[i][:], 0)
	}
	sent, over := 0, make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		batch := make([]ipv4.Message, floodBurst)
		last := time.Now()
		tick := time.NewTicker(floodTick)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				now := time.Now() // the ticker's own times can go back where it is held up
				n := min(int(now.Sub(last)*floodRate/time.Second), floodBurst)
				last = now
				for i := range n {
					from := ipv4.ControlMessage{Src: crowdAddress(sent + i + 1).AsSlice()}
					m := &forged[(sent+i)%floodForged]
					batch[i] = ipv4.Message{Buffers: [][]byte{m[:]}, OOB: from.Marshal(), Addr: hubForCrowd}
				}
				for rest := batch[:n]; len(rest) > 0; {
					done, err := packets.WriteBatch(rest, 0)
					if err != nil {
						t.Errorf("flood: %v", err)
						return
					}
					rest = rest[done:]
				}
				sent += n
			}
		}
	})
	end := sync.OnceFunc(func() {
		close(over)
		running.Wait()
	})
	t.Cleanup(end)
	return func() int {
		end()
		return sent
	}
}

// enterByCookie shakes hands as often as it takes: a cookie has to be demanded first.
func (c *caller) enterByCookie(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	begin := time.Now()
	b := make([]byte, 1<<11)
	for index, cookies := uint32(1), 0; !c.in; index++ {
		if time.Since(begin) > testnet.Patience {
			t.Fatalf("the peer does not get in; %d cookies were demanded of it", cookies)
		}
		if err := c.begin(index); err != nil {
			t.Fatal(err)
		}
		c.cookies.AddMACs(c.message[:], time.Since(begin))
		if _, err := conn.WriteToUDP(c.message[:], hubForCrowd); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if os.IsTimeout(err) {
			continue // one of both is lost
		}
		if err != nil {
			t.Fatal(err)
		}
		switch kind, _ := wire.Classify(b[:n]); kind {
		case wire.TypeCookieReply:
			if c.cookies.Consume(wire.AsCookieReply(b[:n]), time.Since(begin)) {
				cookies++
			}
		case wire.TypeResponse:
			session, err := c.handshake.Finish(c.local, c.remote, wire.AsResponse(b[:n]))
			if err != nil {
				continue // to an earlier one
			}
			session.Erase()
			c.in = cookies > 0
		}
	}
}
