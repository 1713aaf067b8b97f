package sim

import (
	"sync/atomic"
	"testing"
)

// A census counts what happens in the seeds that a test plays, so that it can't stop happening unseen.
type census [happenings]atomic.Int64

type happening int

const (
	coalescedArrival happening = iota
	segmentDelivered
	ipv6Inside
	ipv6Outside
	familyChanged
	segmentsRefused
	cookieDemanded
	cookieAccepted
	floodOver
	bornAnew
	bornInThePast
	diskAwaited
	happenings
)

var happeningNames = [happenings]string{
	"an arrival was coalesced", "a segment of a superpacket was delivered", "a packet of IPv6 was delivered", "a message came over IPv6",
	"an endpoint moved to the other family", "a route refused segments", "a cookie was demanded", "who had a cookie was let in under load",
	"a flood was over, and all were let in", "a node started anew", "a node started anew with its clock set back",
	"a handshake waited for the disk",
}

// saw counts what happened, if anybody wants to know.
func (w *world) saw(what happening) {
	if w.census != nil {
		w.census[what].Add(1)
	}
}

// complete holds that everything has happened.
func (c *census) complete(t *testing.T) {
	for i := range c {
		if n := c[i].Load(); n == 0 {
			t.Errorf("in no seed it happened that %s", happeningNames[i])
		} else {
			t.Logf("%6d times %s", n, happeningNames[i])
		}
	}
}
