// Package report is what the engine and its keeper tell of an interface, its peers and what happens to them: plain types, and their JSON.
// status, top, diagnose, the metrics and the page all read it.
//
// It comes over the interface's control socket, /run/vpn/NAME/control.sock, which only root reaches; `vpn run` and `vpn device` serve
// the same. It is HTTP/1.1, and an answer is JSON lines (application/x-ndjson): each is a [Line] with one member, however many there are.
//
//	GET /v1/status      {"interface":{…}}, a {"peer":{…}} for each, {"end":true}
//	GET /v1/events      an {"event":{…}} for each as it happens, until the client leaves
//	POST /v1/handshake  asks for a new session with the peers that are named, also if there is one, and answers as status does
//
// All take these parameters, which [Query] holds:
//
//	peer=KEY        only that peer, by its public key; up to 64 times
//	peers=WHICH     all (the default), active (those that have talked since the engine started) or none
//	events=N        with each peer the last N events, up to 32; none unless asked for
//	past=true       of /v1/events: what is kept of the interface and of the peers that were named comes first
//
// An answer that ends without "end" was cut off; {"error":"…"} in its place says why. Who reads events too slowly is sent away with such
// an error. A name that is new in a line means nothing to an older client and is to be passed over.
//
//	curl -s --unix-socket /run/vpn/wg0/control.sock 'http://vpn/v1/status?events=8' | jq .peer
//
// No private or preshared key is ever in it, nor anything made from one; a session's name is random.
package report

import (
	"net/netip"
	"time"

	"vpn/noise/key"
)

// The paths of the control socket.
const (
	PathStatus = "/v1/status"
	PathEvents = "/v1/events"

	PathHandshake = "/v1/handshake"
)

// Line is one line of an answer. Of its fields one is set.
type Line struct {
	Interface *Interface `json:"interface,omitempty"`
	Peer      *Peer      `json:"peer,omitempty"`
	Event     *Event     `json:"event,omitempty"`
	Error     string     `json:"error,omitempty"` // nothing follows
	End       bool       `json:"end,omitempty"`   // all is told
}

// What runs an interface.
const (
	EngineVPN    = "vpn"
	EngineKernel = "kernel"
	EngineOther  = "other" // another program, of which the configuration protocol is all that is known
)

// Interface is one interface, without its peers. Times are the host's time of day.
type Interface struct {
	Name   string    `json:"name"`
	Now    time.Time `json:"now"`              // when this was gathered: ages are counted from here
	Engine string    `json:"engine"`           // "vpn", "kernel", or "other": another program's
	PID    int       `json:"pid,omitempty"`    // the engine's, where it is known
	Since  time.Time `json:"since,omitzero"`   // when the engine started: its counters began at zero then
	File   string    `json:"file,omitempty"`   // the config file; only under a keeper
	Phase  string    `json:"phase,omitempty"`  // the keeper's: starting, up, stopping
	Faults []string  `json:"faults,omitempty"` // what the keeper can't set right: names that don't resolve, what is put back no more

	PublicKey  key.Public `json:"public_key,omitzero"`
	ListenPort uint16     `json:"listen_port,omitempty"`
	FwMark     uint32     `json:"fwmark,omitempty"`
	MTU        int        `json:"mtu,omitempty"`
	LinkUp     bool       `json:"link_up"`
	Listening  bool       `json:"listening"`        // the UDP port is open
	Asleep     bool       `json:"asleep,omitempty"` // the host is about to sleep
	UnderLoad  bool       `json:"under_load,omitempty"`

	RekeyAfterSeconds float64 `json:"rekey_after_seconds,omitempty"` // what is configured; 0: the protocol's own, 120
	RekeyAfterPackets uint64  `json:"rekey_after_packets,omitempty"`

	PeerCount int `json:"peer_count"` // all that are configured, whatever was asked for

	HandshakesWaiting int    `json:"handshakes_waiting"` // messages and initiations that wait for a worker
	StagedBytes       uint64 `json:"staged_bytes"`       // packets that wait for a session, of all peers

	// Datagrams that never came to be looked at.
	SocketErrors    uint64 `json:"socket_errors"`
	SocketMalformed uint64 `json:"socket_malformed"`
	SocketOverflows uint64 `json:"socket_overflows"` // the receive buffer was full

	Happened []Count `json:"happened,omitempty"`       // events since the engine started, by kind
	Ended    []Count `json:"sessions_ended,omitempty"` // sessions since then, by why
	Rekeys   uint64  `json:"rekeys,omitempty"`         // sessions that took the place of one that could still be used
	Waits    []Wait  `json:"waits,omitempty"`

	Drops  []Drop  `json:"drops,omitempty"`  // of all peers and of strangers, by reason, in the order of tunnel.Reason
	Events []Event `json:"events,omitempty"` // that no peer can be named for, the last of each kind, oldest first
}

// Peer is one peer. What a foreign engine doesn't tell is zero.
type Peer struct {
	PublicKey    key.Public `json:"public_key"`
	Name         string     `json:"name,omitempty"` // the file's Name or friendly_name
	HasPreshared bool       `json:"has_preshared_key,omitempty"`

	Endpoint     netip.AddrPort   `json:"endpoint,omitzero"`      // where messages go
	EndpointFrom Origin           `json:"endpoint_from,omitzero"` // how that was found
	Configured   string           `json:"endpoint_configured,omitempty"`
	LookupError  string           `json:"lookup_error,omitempty"` // why the name in Configured has no address
	Source       netip.Addr       `json:"source,omitzero"`        // the local address that messages leave from; none: the kernel chooses
	Candidates   []netip.AddrPort `json:"candidates,omitempty"`

	AllowedIPs []netip.Prefix `json:"allowed_ips,omitempty"`
	Keepalive  uint16         `json:"persistent_keepalive,omitempty"` // seconds

	LatestHandshake time.Time `json:"latest_handshake,omitzero"`
	RxBytes         uint64    `json:"rx_bytes"` // authenticated messages, with all that WireGuard adds
	TxBytes         uint64    `json:"tx_bytes"`

	Sessions []Session `json:"sessions,omitempty"` // the one that sends first
	Rekeys   uint64    `json:"rekeys,omitempty"`   // sessions that took the place of one that could still be used
	Attempt  *Attempt  `json:"attempt,omitempty"`  // nil: no handshake is wanted

	// SilentSince is when the first of the initiations was sent that nobody has answered, also if they were given up meanwhile; UnheardSince
	// when the first data was sent that nothing has come back for.
	SilentSince  time.Time `json:"silent_since,omitzero"`
	UnheardSince time.Time `json:"unheard_since,omitzero"`

	Staged int     `json:"staged,omitempty"` // packets that wait for a session
	Drops  []Drop  `json:"drops,omitempty"`
	Events []Event `json:"events,omitempty"` // oldest first

	// Bytes a second, for who has measured them: see Rates. Nil: not known.
	RxRate *float64 `json:"rx_rate,omitempty"`
	TxRate *float64 `json:"tx_rate,omitempty"`
}

// Origin is how a peer's endpoint was found.
type Origin string

// The origins. An engine by itself tells OriginSet, OriginCandidate and OriginRoamed; its keeper knows what OriginSet was.
const (
	OriginSet       Origin = "set"       // configured from outside, as by `wg set`
	OriginFile      Origin = "file"      // an address in the file
	OriginName      Origin = "name"      // what the file's host name resolves to
	OriginCandidate Origin = "candidate" // the one that answered, of several
	OriginRoamed    Origin = "roamed"    // where an authentic message came from
	OriginCache     Origin = "cache"     // where it was when the engine before this one ended
)

// Session is one session that is alive.
type Session struct {
	Name      string `json:"name"`      // random, pronounceable
	Place     string `json:"place"`     // current: sends; next: waits for the initiator's first message; previous, displaced: only receives
	Role      string `json:"role"`      // this side's: initiator, responder
	Confirmed bool   `json:"confirmed"` // the other side is known to have it

	Born    time.Time `json:"born"`
	Expires time.Time `json:"expires"` // can't be used from then on

	// ReplacedAt is when this side replaces it if it sends anything then; zero: the other side is to.
	ReplacedAt time.Time `json:"replaced_at,omitzero"`

	SentMessages     uint64 `json:"sent_messages"`
	ReceivedMessages uint64 `json:"received_messages"`
}

// The places of a session.
const (
	PlaceCurrent   = "current"
	PlaceNext      = "next"
	PlacePrevious  = "previous"
	PlaceDisplaced = "displaced"
)

// Attempt is a handshake that is wanted.
type Attempt struct {
	Unanswered int       `json:"unanswered"` // initiations in a row
	Next       time.Time `json:"next"`       // not before then comes another
	Cookie     bool      `json:"cookie"`     // the next one proves where it comes from
}

// Drop counts what went no further, for one reason.
type Drop struct {
	Reason string    `json:"reason"` // as tunnel.Reason prints it: bad_mac1, no_answer, …
	Count  uint64    `json:"count"`
	Last   time.Time `json:"last"` // to a tenth of a second or so
}

// Count is how often something happened.
type Count struct {
	What  string `json:"what"`
	Times uint64 `json:"times"`
}

// Wait tells how long things waited since the engine started. Times are in seconds.
type Wait struct {
	// For is what for: out, for a batch of packets from when it is read from the device until it is handed to the socket, in, for one on
	// the way back, of both one in 64; handshake, for a handshake message until a worker has it; session, for packets until there is one.
	For    string    `json:"for"`
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"` // how many took no longer than the bound, and longer than the one before it; the last one longer than any
	Sum    float64   `json:"sum"`    // of all
}

// Event is something that happened. Kind says which of the other fields mean something.
type Event struct {
	// Kind is one of: initiation_sent, initiation_received, response_sent, response_received, session_started, session_ended,
	// attempt_given_up, initiation_unanswered, endpoint_moved, cookie_received, handshake_failed, source_refused, path_refused of a peer;
	// stranger_refused, nobody_at, under_load of the interface.
	Kind  string    `json:"kind"`
	Time  time.Time `json:"time"`
	First time.Time `json:"first,omitzero"` // where it happened several times: when first
	Times int       `json:"times,omitempty"`

	Peer     key.Public     `json:"peer,omitzero"` // with stranger_refused for unknown_peer: the key that isn't configured
	PeerName string         `json:"peer_name,omitempty"`
	Endpoint netip.AddrPort `json:"endpoint,omitzero"` // the peer's at that time
	To       netip.AddrPort `json:"to,omitzero"`       // path_refused: where the message was to go
	Session  string         `json:"session,omitempty"`
	Role     string         `json:"role,omitempty"`
	Why      string         `json:"why,omitempty"`        // session_ended: replaced, expired, displaced, peer_removed, device_down, key_changed, suspended, handshake_lost
	Tries    int            `json:"unanswered,omitempty"` // initiations in a row, so far

	SentMessages     uint64 `json:"sent_messages,omitempty"` // session_ended
	ReceivedMessages uint64 `json:"received_messages,omitempty"`

	// Reason is that of the drop: bad_handshake, replayed_initiation, bad_mac1, unknown_peer, cookie_demanded and the like. A response that is
	// bad_handshake has another preshared key.
	Reason string `json:"reason,omitempty"`

	// From is who sent the message. With path_refused it is, without a port, who sent the ICMP error; with nobody_at who sent the packet.
	From    string     `json:"from,omitempty"`
	Address netip.Addr `json:"address,omitzero"` // source_refused: the inner source; nobody_at: the destination
	Owner   key.Public `json:"owner,omitzero"`   // source_refused: whose Address is; none: nobody's

	Timestamp time.Time `json:"timestamp,omitzero"` // replayed_initiation: what the other side's clock said
	Newest    time.Time `json:"newest,omitzero"`    // and what it said at best before

	Refusal *Refusal `json:"refusal,omitempty"` // path_refused
}

// Refusal is why a message did not reach the peer.
type Refusal struct {
	Error string `json:"error"`          // the system's words: connection refused, no route to host, message too long, …
	ICMP  int    `json:"icmp,omitempty"` // 4 or 6; 0: this host's kernel found no way
	Type  int    `json:"type"`
	Code  int    `json:"code"`
	MTU   int    `json:"mtu,omitempty"` // message too long: what the hop takes
}
