package conf

import (
	"slices"
	"time"
)

// Expired says whether the peer is to be left out at that time.
func (p *Peer) Expired(now time.Time) bool { return p.Expires.Given && !now.Before(p.Expires.Value) }

// DropExpired removes the peers whose time is over, and returns a warning of
// each. Their keys are erased. The name of the file is for the warnings.
func (c *Config) DropExpired(file string, now time.Time) (dropped []Warning) {
	var rest []Peer // the list itself may be shared
	for i := range c.Peers {
		p := &c.Peers[i]
		if !p.Expired(now) {
			rest = append(rest, *p)
			continue
		}
		p.Preshared.Value.Erase()
		dropped = append(dropped, Warning{
			File: file, Line: p.Expires.Line, Key: "Expires", Value: timeText(p.Expires.Value),
			Message: "is over: the peer is left out",
			Hint:    "give it another time, or remove the peer",
		})
	}
	if len(dropped) > 0 {
		c.Peers = slices.Clip(rest)
	}
	return dropped
}

// NextExpiry returns the first time at which a peer is to go, the zero time if
// none is.
func (c *Config) NextExpiry() (next time.Time) {
	for i := range c.Peers {
		if e := c.Peers[i].Expires; e.Given && (next.IsZero() || e.Value.Before(next)) {
			next = e.Value
		}
	}
	return next
}
