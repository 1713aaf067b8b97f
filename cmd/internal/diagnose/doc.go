// Package diagnose says why a tunnel does not work, and what to do. [Run] watches an interface for a few seconds, has its peers shake
// hands, and tries what passes through the tunnel; [Judge] makes findings of what was seen, and is pure. [Draw] writes them for people.
package diagnose

import (
	"net/netip"
	"time"

	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// Verdict is a finding in a word.
type Verdict string

// The verdicts.
const (
	Healthy        Verdict = "healthy"
	Off            Verdict = "off"                 // the interface is down, asleep, without a key or without its port
	Unresolved     Verdict = "name_unresolved"     // the endpoint's name has no address
	NotCalled      Verdict = "not_called"          // nobody knows where the peer is, and it has not called
	NoRoute        Verdict = "no_route"            // this host knows no way to the endpoint, or won't use it
	ICMPError      Verdict = "icmp_error"          // somebody on the way, or the other end, refuses the messages
	WrongKeyForUs  Verdict = "wrong_key_for_us"    // the other side has another public key for this interface
	UnknownKey     Verdict = "unknown_key"         // somebody calls whose key isn't configured here
	PresharedKey   Verdict = "preshared_key"       // the two sides have different preshared keys
	ClockBehind    Verdict = "clock_behind"        // the other side's clock was set back
	CookieDemanded Verdict = "cookie_demanded"     // one of the sides is flooded with handshake messages
	SourceRefused  Verdict = "source_refused"      // the peer sends from an address outside its AllowedIPs
	Overlap        Verdict = "allowed_ips_overlap" // an address that the peer should have is another one's
	RouteElsewhere Verdict = "route_elsewhere"     // packets for the peer don't go into the tunnel
	EndpointInside Verdict = "endpoint_inside"     // the tunnel's own messages go into the tunnel
	NotForwarding  Verdict = "not_forwarding"      // packets of the peer are for others, and this host passes none on
	ReversePath    Verdict = "reverse_path"        // the reverse-path filter drops what comes
	PathMTU        Verdict = "path_mtu"            // packets of the interface's MTU don't fit the path
	Dropped        Verdict = "dropped"             // other packets went no further
	Silence        Verdict = "silence"             // no answer and no reason
)

// Finding is a verdict, what it rests on, and what to do.
type Finding struct {
	Verdict  Verdict    `json:"verdict"`
	Peer     key.Public `json:"peer,omitzero"` // zero: the interface's
	PeerName string     `json:"peer_name,omitempty"`
	Text     string     `json:"text"`
	Evidence []string   `json:"evidence,omitempty"`
	Advice   []string   `json:"advice,omitempty"`
}

// Result is all that was found.
type Result struct {
	Interface string    `json:"interface"`
	Healthy   bool      `json:"healthy"`
	Findings  []Finding `json:"findings"`
}

// Seen is what Run saw.
type Seen struct {
	Began  time.Time
	Before *report.Interface
	After  *report.Interface
	Peers  []PeerSeen
	Others map[key.Public]*report.Peer // that findings may name besides, as far as they are there
	Whole  bool                        // all peers were asked for

	Traffic []Passed // that came out of the tunnel
	Twice   []Twice
}

// PeerSeen is what was seen of one peer.
type PeerSeen struct {
	Before, After report.Peer
	Way           *Way       // to the endpoint; nil: not known
	Routes        []Prefixed // to its AllowedIPs
	Reach         *Reach     // nil: no inner address answers
}

// Way is how this host reaches the endpoint.
type Way struct {
	Err    string // why not
	Link   string
	Source string // the address of this host that messages leave from
	MTU    int
	Inside bool // through the tunnel itself

	// Filtered says that the reverse-path filter of Link looks for the way without the mark that the tunnel's messages have, and so would
	// have answers come out of the tunnel.
	Filtered bool
}

// Prefixed is where packets to one prefix of a peer go.
type Prefixed struct {
	Prefix  netip.Prefix
	Address netip.Addr // that was tried
	Link    string     // empty: nowhere, Err says why
	Err     string
}

// Reach is what passes through the tunnel.
type Reach struct {
	Address netip.Addr
	Largest int // packet in bytes that was answered, up to the interface's MTU
}

// Passed is a packet that came out of the tunnel and can't go on.
type Passed struct {
	Source, Destination netip.Addr
	Forwarding          string // the setting that keeps it here; empty: none does
	Filter              string // the setting that drops it, as nothing goes back to Source by this link; empty: none does
	Back                string // the link by which Source is reached; empty: none
}

// Twice is a prefix that the file gives to two peers.
type Twice struct {
	Prefix        netip.Prefix
	First, Second key.Public
	Lines         [2]int
}
