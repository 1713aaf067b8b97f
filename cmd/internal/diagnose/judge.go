package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

const (
	// strangerMemory, and the other memories are for how long before the watch what happened counts: a peer calls every 5 s, if it
	// has anything to say.
	strangerMemory = 2 * time.Minute
	cookieMemory   = 30 * time.Second
	refusalMemory  = 30 * time.Second
	sourceMemory   = time.Minute
	// clockStep is by how much timestamps have to go back to be a clock's: a message that the network doubled has the same one.
	clockStep = time.Second
)

// Judge makes findings of what was seen: those of the interface first, then at least one for each peer.
func Judge(s *Seen) *Result {
	r := &Result{Interface: s.After.Name, Healthy: true}
	j := &judge{Seen: s}
	if v := j.off(); v != "" {
		j.add(nil, Off, v, nil, offAdvice(s.After)...)
		r.Findings, r.Healthy = j.findings, false
		return r
	}
	well := true
	var of [][]Finding
	for i := range s.Peers {
		p := &peerJudge{judge: j, PeerSeen: &s.Peers[i]}
		found := p.all()
		well = well && p.answers()
		of = append(of, found)
	}
	j.strangers(well)
	j.load()
	j.nobody()
	j.dropped()
	r.Findings = append(j.findings, slices.Concat(of...)...)
	for i := range r.Findings {
		r.Healthy = r.Healthy && r.Findings[i].Verdict == Healthy
	}
	return r
}

// judge gathers findings of the interface.
type judge struct {
	*Seen
	findings []Finding
	told     map[string]bool // strangers that a peer's findings tell of
}

func (j *judge) add(p *report.Peer, v Verdict, text string, evidence []string, advice ...string) {
	j.findings = append(j.findings, newFinding(p, v, text, evidence, advice))
}

func newFinding(p *report.Peer, v Verdict, text string, evidence, advice []string) Finding {
	f := Finding{Verdict: v, Text: text, Evidence: evidence, Advice: advice}
	if p != nil {
		f.Peer, f.PeerName = p.PublicKey, p.Name
	}
	return f
}

// ago says when something was, as seen at the end of the watch.
func (j *judge) ago(t time.Time) string {
	return report.Span(max(j.After.Now.Sub(t), 0)) + " ago"
}

// often says how often and when an event was.
func (j *judge) often(e *report.Event) string {
	if e.Times > 1 {
		return fmt.Sprintf("%d times, last %s", e.Times, j.ago(e.Time))
	}
	return j.ago(e.Time)
}

// title is what a peer is called, which may not be one that was asked for.
func (j *judge) title(k key.Public) string {
	if p := j.peer(k); p != nil {
		return p.Title()
	}
	return k.String()
}

func (j *judge) peer(k key.Public) *report.Peer {
	for i := range j.Peers {
		if j.Peers[i].After.PublicKey == k {
			return &j.Peers[i].After
		}
	}
	return j.Others[k]
}

func (j *judge) off() string {
	i := j.After
	switch {
	case !i.LinkUp:
		return "the link " + i.Name + " is down"
	case i.Engine != report.EngineVPN:
		return ""
	case i.PublicKey.IsZero():
		return i.Name + " has no private key"
	case i.Asleep:
		return "the host is about to sleep"
	case !i.Listening:
		return fmt.Sprintf("UDP port %d can't be opened", i.ListenPort)
	}
	return ""
}

func offAdvice(i *report.Interface) []string {
	switch {
	case !i.LinkUp:
		return []string{fmt.Sprintf("Set it up: ip link set %s up", i.Name)}
	case i.PublicKey.IsZero():
		return []string{"Give it one: PrivateKey or PrivateKeyFile in its file, or \"vpn set " + i.Name + " private-key FILE\""}
	case !i.Listening:
		return []string{fmt.Sprintf("See who has it: ss -lunp 'sport = :%d'", i.ListenPort), "Or choose another ListenPort, or none"}
	}
	return nil
}

// find returns the last event of a kind since a time, and of a reason if one is given.
func find(events []report.Event, since time.Time, kind, reason string) *report.Event {
	for n := len(events) - 1; n >= 0; n-- {
		if e := &events[n]; e.Kind == kind && (reason == "" || e.Reason == reason) && !e.Time.Before(since) {
			return e
		}
	}
	return nil
}

// fromOf is the address that a message came from.
func fromOf(e *report.Event) netip.Addr {
	at, err := netip.ParseAddrPort(e.From)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

// strangers tells of who can't be named, if no peer's findings have. What anybody may send says nothing where all is well.
func (j *judge) strangers(well bool) {
	for i := range j.After.Events {
		e := &j.After.Events[i]
		if e.Kind != "stranger_refused" || e.Time.Before(j.Began.Add(-strangerMemory)) || j.told[strangerID(e)] {
			continue
		}
		switch {
		case e.Reason == "unknown_peer" && (j.Whole || !well):
			j.findings = append(j.findings, j.unknownKey(nil, e))
		case e.Reason == "bad_mac1" && !well:
			j.findings = append(j.findings, j.wrongKey(nil, e))
		}
	}
}

func strangerID(e *report.Event) string { return e.Reason + " " + e.From + " " + e.Peer.String() }

func (j *judge) tell(e *report.Event) {
	if j.told == nil {
		j.told = make(map[string]bool)
	}
	j.told[strangerID(e)] = true
}

func (j *judge) wrongKey(p *report.Peer, e *report.Event) Finding {
	return newFinding(p, WrongKeyForUs, fmt.Sprintf("%s has another public key for this interface than it has", e.From),
		[]string{fmt.Sprintf("handshake messages from %s with a bad mac1, which is made from our public key: %s", e.From, j.often(e))},
		[]string{"Give the other side our public key: PublicKey = " + j.After.PublicKey.String()})
}

func (j *judge) unknownKey(p *report.Peer, e *report.Event) Finding {
	advice := []string{fmt.Sprintf("If it is to be a peer: vpn set %s peer %v allowed-ips PREFIX, and [Peer] in the file", j.After.Name, e.Peer)}
	if p != nil {
		advice = append(advice, fmt.Sprintf("If it is %s with a new key: replace %v by that", p.Title(), p.PublicKey))
	}
	return newFinding(p, UnknownKey, fmt.Sprintf("%s calls with the key %v, which no peer here has", e.From, e.Peer),
		[]string{"initiations for our key, from a static key that isn't configured: " + j.often(e)}, advice)
}

// load tells that this side demands cookies.
func (j *judge) load() {
	e := find(j.After.Events, j.Began, "under_load", "")
	if e == nil && !j.After.UnderLoad {
		return
	}
	evidence := []string{fmt.Sprintf("%d handshake messages wait", j.After.HandshakesWaiting)}
	if e != nil {
		evidence = append(evidence, "the last time it began: "+j.ago(e.Time))
	}
	j.add(nil, CookieDemanded, "this side is flooded with handshake messages, and demands cookies", evidence,
		"Peers get through all the same, 5 s later than usual. See who sends so much: vpn status "+j.After.Name)
}

// nobody tells of packets that no peer is for.
func (j *judge) nobody() {
	var evidence []string
	for i := range j.After.Events {
		if e := &j.After.Events[i]; e.Kind == "nobody_at" && !e.Time.Before(j.Began) && !j.inside(e.Address) {
			evidence = append(evidence, fmt.Sprintf("from %s to %v: %s", e.From, e.Address, j.often(e)))
		}
	}
	if len(evidence) == 0 {
		return
	}
	j.add(nil, Dropped, "packets go into the tunnel for addresses that no peer has", evidence,
		"Add the address to the AllowedIPs of the peer that is to get it, or take the route to it off "+j.After.Name)
}

// inside reports whether an address is an endpoint that is found to be reached through the tunnel.
func (j *judge) inside(a netip.Addr) bool {
	return slices.ContainsFunc(j.Peers, func(p PeerSeen) bool {
		return p.Way != nil && p.Way.Inside && p.After.Endpoint.Addr().Unmap() == a
	})
}

// alien are the reasons for drops that no other finding tells of, and what to do.
var alien = map[string]string{
	"not_ip":               "Something writes to the link what is no IP packet; a program that opened it, or a bridge?",
	"routing_loop":         "The tunnel's own messages are routed into it: see the routes to the endpoints",
	"rate_limited":         "One address sends too many handshake messages while this side is under load",
	"handshake_queue_full": "Handshake messages come faster than this machine works on them",
	"out_of_memory":        "Give the program more locked memory (LimitMEMLOCK=), or the machine more memory",
	"device_refused":       "The kernel does not take what comes out of the tunnel: is the link up, and are its queues full?",
	"bad_tag":              "Messages were changed on the way, or are forged",
	"bad_inner_packet":     "The other side sends broken packets",
	"staging_full":         "More waits for a session than may wait: handshakes take long, or much is sent at once",
	"send_failed":          "The kernel refuses messages: see the log, and the firewall's output rules",
}

// dropped tells of what else the interface dropped while it was watched.
func (j *judge) dropped() {
	all := make(map[string]uint64)
	drops(all, j.Before.Drops, j.After.Drops)
	for i := range j.Peers {
		p := &peerJudge{judge: j, PeerSeen: &j.Peers[i]}
		for reason, n := range p.drops() {
			all[reason] -= min(n, all[reason]) // which its own findings tell of
		}
	}
	if silent := slices.ContainsFunc(j.Peers, func(p PeerSeen) bool { return !(&peerJudge{judge: j, PeerSeen: &p}).answers() }); silent {
		delete(all, "staging_full")
		delete(all, "send_failed")
	}
	if f, ok := droppedFinding(nil, all); ok {
		j.findings = append(j.findings, f)
	}
}

// drops adds what was dropped between two answers, of the alien reasons.
func drops(all map[string]uint64, before, after []report.Drop) {
	was := make(map[string]uint64)
	for _, d := range before {
		was[d.Reason] = d.Count
	}
	for _, d := range after {
		if _, is := alien[d.Reason]; is && d.Count > was[d.Reason] {
			all[d.Reason] += d.Count - was[d.Reason]
		}
	}
}

func droppedFinding(p *report.Peer, all map[string]uint64) (Finding, bool) {
	var evidence, advice []string
	for reason, n := range all {
		if n > 0 {
			evidence = append(evidence, fmt.Sprintf("%d %s while it was watched", n, strings.ReplaceAll(reason, "_", " ")))
			advice = append(advice, alien[reason])
		}
	}
	slices.Sort(evidence)
	slices.Sort(advice)
	return newFinding(p, Dropped, "packets went no further", evidence, advice), len(evidence) > 0
}
