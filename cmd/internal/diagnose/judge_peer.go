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

// peerJudge gathers findings of one peer.
type peerJudge struct {
	*judge
	*PeerSeen
	found []Finding
}

func (p *peerJudge) find(v Verdict, text string, evidence []string, advice ...string) {
	p.found = append(p.found, newFinding(&p.After, v, text, evidence, advice))
}

// all finds first why there is no session, then what is wrong with one that there is.
func (p *peerJudge) all() []Finding {
	p.place()
	if !p.answers() {
		p.way()
		p.refused()
		p.preshared()
	}
	p.callers()
	p.clock()
	p.cookie()
	p.sources()
	p.twice()
	p.passed()
	p.routes()
	p.mtu()
	if p.answers() {
		if f, ok := droppedFinding(&p.After, p.drops()); ok {
			p.found = append(p.found, f)
		}
	}
	switch {
	case len(p.found) > 0 && (p.answers() || p.explained()):
	case !p.answers():
		p.silence()
	default:
		p.healthy()
	}
	return p.found
}

// answers reports whether the peer has shaken hands while it was watched, or as lately as it has to.
func (p *peerJudge) answers() bool {
	a := &p.After
	if p.judge.After.Engine != report.EngineVPN {
		return p.Reach != nil || a.LatestHandshake.After(p.Began) ||
			!a.LatestHandshake.IsZero() && p.judge.After.Now.Sub(a.LatestHandshake) < 2*time.Minute
	}
	if a.LatestHandshake.After(p.Began.Add(-fresh)) {
		return true
	}
	// One who calls us may be where we can't call.
	return !a.Endpoint.IsValid() && a.Current() != nil
}

// explained reports whether what was found explains that there is no session.
func (p *peerJudge) explained() bool {
	for i := range p.found {
		switch p.found[i].Verdict {
		case Unresolved, NotCalled, NoRoute, ICMPError, WrongKeyForUs, UnknownKey, PresharedKey, EndpointInside, ReversePath, CookieDemanded:
			return true
		}
	}
	return false
}

// place finds that nobody knows where the peer is.
func (p *peerJudge) place() {
	a := &p.After
	switch {
	case a.Endpoint.IsValid():
	case a.LookupError != "":
		p.find(Unresolved, fmt.Sprintf("the name in Endpoint = %s does not resolve", a.Configured),
			[]string{"the resolver says: " + a.LookupError},
			"Look for a typing error in the name", "Try it: getent ahosts "+hostOf(a.Configured),
			"If no name resolves, see to this host's name servers; they must be reachable without the tunnel")
	case !p.answers():
		p.find(NotCalled, "nobody knows where it is, and it has not called", nil,
			fmt.Sprintf("If it has a fixed address: vpn set %s peer %v endpoint HOST:PORT", p.judge.After.Name, a.PublicKey),
			fmt.Sprintf("Else it must call: its Endpoint has to be this host, UDP port %d, which firewalls and routers in between have to let through",
				p.judge.After.ListenPort),
			"PersistentKeepalive = 25 there makes it call without having anything to say")
	}
}

func hostOf(endpoint string) string {
	if i := strings.LastIndexByte(endpoint, ':'); i > 0 {
		return strings.Trim(endpoint[:i], "[]")
	}
	return endpoint
}

// refused finds what the kernel, a router or the other end says to our messages.
func (p *peerJudge) refused() {
	e := find(p.After.Events, later(p.Began.Add(-refusalMemory), p.After.SilentSince), "path_refused", "")
	if e == nil || e.To != p.After.Endpoint && !slices.Contains(p.After.Candidates, e.To) || e.Refusal == nil || p.has(EndpointInside) {
		return // or the error comes out of the tunnel
	}
	p.found = slices.DeleteFunc(p.found, func(f Finding) bool { return f.Verdict == NoRoute }) // of the same, with less evidence
	r := e.Refusal
	switch {
	case r.MTU != 0:
		p.find(PathMTU, fmt.Sprintf("%s takes messages of %d bytes at most", e.From, r.MTU), []string{icmpText(r, e, p.often(e))},
			fmt.Sprintf("Set MTU = %d or less", r.MTU-overhead(e.To.Addr())))
	case r.ICMP == 0:
		evidence := []string{fmt.Sprintf("the kernel says of messages to %v: %s (%s)", e.To, r.Error, p.often(e))}
		advice := []string{
			"See where it would send them: " + p.routeGet(e.To.Addr()),
			"Is the network up, and is there a default route?",
		}
		if strings.Contains(r.Error, "permit") || strings.Contains(r.Error, "permission") {
			advice = []string{"This host's own firewall refuses them: see nft list ruleset, in the output hook"}
		}
		p.find(NoRoute, fmt.Sprintf("this host has no way to %v: %s", e.To, r.Error), evidence, advice...)
	default:
		p.find(ICMPError, fmt.Sprintf("%s answers messages to %v with an ICMP error: %s", e.From, e.To, r.Error),
			[]string{icmpText(r, e, p.often(e))}, p.icmpAdvice(e)...)
	}
}

func icmpText(r *report.Refusal, e *report.Event, often string) string {
	text := fmt.Sprintf("ICMPv%d type %d code %d from %s for a message to %v", r.ICMP, r.Type, r.Code, e.From, e.To)
	if r.MTU != 0 {
		text += fmt.Sprintf(", which takes %d bytes", r.MTU)
	}
	return text + ": " + often
}

func (p *peerJudge) icmpAdvice(e *report.Event) []string {
	port := e.Refusal.ICMP == 4 && e.Refusal.Type == 3 && e.Refusal.Code == 3 || e.Refusal.ICMP == 6 && e.Refusal.Type == 1 && e.Refusal.Code == 4
	switch {
	case port && e.From == e.To.Addr().String():
		return []string{
			fmt.Sprintf("Nothing listens there on UDP port %d: is WireGuard up there, and is that its ListenPort?", e.To.Port()),
			"A firewall there that rejects says the same",
		}
	case e.From == e.To.Addr().String():
		return []string{"That host's firewall refuses it: let UDP to port " + fmt.Sprint(e.To.Port()) + " in there"}
	case p.Way != nil && e.From == p.Way.Source:
		return []string{"That is this host itself: no machine has the address on the network where it should be. Is it on, and is the address right?"}
	}
	return []string{
		fmt.Sprintf("%s is a router on the way, or this host itself: it has no way to %v, or may not use it", e.From, e.To.Addr()),
		fmt.Sprintf("See how far it goes: traceroute %v", e.To.Addr()),
	}
}

func (p *peerJudge) routeGet(a netip.Addr) string {
	text := "ip route get " + a.String()
	if m := p.judge.After.FwMark; m != 0 {
		text += fmt.Sprintf(" mark %#x", m)
	}
	return text
}

// preshared finds that its response is made with another preshared key, or that ours is.
func (p *peerJudge) preshared() {
	e := find(p.After.Events, p.Began, "handshake_failed", "bad_handshake")
	if e == nil || e.From == "" {
		return
	}
	have := "This side has none"
	if p.After.HasPreshared {
		have = "This side has one"
	}
	p.find(PresharedKey, fmt.Sprintf("%s answers, with another preshared key than this side has", e.From),
		[]string{"it knows our key, and its response fails authentication at the preshared key: " + p.often(e)},
		have+". Both sides need the same PresharedKey, or both none", "If in doubt make a new one with vpn genpsk, and give it to both")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// way finds what is wrong with the way of our own messages.
func (p *peerJudge) way() {
	w := p.Way
	if w == nil {
		return
	}
	at := p.After.Endpoint.Addr()
	switch {
	case w.Inside:
		p.find(EndpointInside, fmt.Sprintf("the tunnel's own messages to %v would go into the tunnel", at),
			[]string{p.routeGet(at) + " leads to " + w.Link},
			fmt.Sprintf("Give %v a route of its own by the real link, or let FwMark and a rule keep marked messages out; vpn up does that by itself", at))
	case w.Err != "":
		p.find(NoRoute, fmt.Sprintf("this host has no way to %v: %s", at, w.Err), []string{p.routeGet(at) + ": " + w.Err},
			"Is the network up, and is there a default route?")
	case w.Filtered:
		p.find(ReversePath, fmt.Sprintf("the reverse-path filter of %s drops its answers", w.Link), []string{
			fmt.Sprintf("rp_filter of %s is strict, src_valid_mark is 0, and without the mark the way to %v leads into the tunnel", w.Link, at),
		}, "Have the filter look at the mark: sysctl -w net.ipv4.conf.all.src_valid_mark=1; vpn up does that by itself")
	}
}

func (p *peerJudge) has(v Verdict) bool {
	for i := range p.found {
		if p.found[i].Verdict == v {
			return true
		}
	}
	return false
}

// at reports whether an address is one where the peer is said to be.
func (p *peerJudge) at(a netip.Addr) bool {
	if p.After.Endpoint.Addr().Unmap() == a {
		return true
	}
	for _, c := range p.After.Candidates {
		if c.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

// callers finds that who is where the peer is calls with a key that is wrong on one side. A peer that answers may have such a neighbour.
func (p *peerJudge) callers() {
	if p.answers() {
		return
	}
	for i := range p.judge.After.Events {
		e := &p.judge.After.Events[i]
		if e.Kind != "stranger_refused" || e.Time.Before(p.Began.Add(-strangerMemory)) || !p.at(fromOf(e)) || p.told[strangerID(e)] {
			continue
		}
		switch e.Reason {
		case "bad_mac1":
			p.found = append(p.found, p.wrongKey(&p.After, e))
			p.tell(e)
		case "unknown_peer":
			p.found = append(p.found, p.unknownKey(&p.After, e))
			p.tell(e)
		}
	}
}

// clock finds that its timestamps have gone back.
func (p *peerJudge) clock() {
	e := find(p.After.Events, p.Began.Add(-strangerMemory), "handshake_failed", "replayed_initiation")
	if e == nil || find(p.After.Events, e.Time, "initiation_received", "") != nil {
		return
	}
	behind := e.Newest.Sub(e.Timestamp)
	if behind < clockStep {
		return
	}
	p.find(ClockBehind, fmt.Sprintf("its clock is %s behind what it was", report.Span(behind)), []string{
		fmt.Sprintf("an initiation from %s says it is %s, after one that said %s: %s", e.From, stamp(e.Timestamp), stamp(e.Newest), p.often(e)),
		"here it was " + stamp(e.Time),
	}, "Set its clock, and keep it so (chrony, systemd-timesyncd): until it has caught up, its own handshakes are refused as replays",
		"If its clock is right now and was ahead before: remove the peer here and add it again after a while, or let it wait for our handshakes")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// cookie finds that the other side is under load.
func (p *peerJudge) cookie() {
	e := find(p.After.Events, p.Began.Add(-cookieMemory), "cookie_received", "")
	if e == nil {
		return
	}
	then := "and has answered since"
	if !p.answers() {
		then = "and has not answered since"
	}
	p.find(CookieDemanded, fmt.Sprintf("%s is flooded with handshake messages, and demands a cookie", e.From),
		[]string{"a cookie reply: " + p.often(e) + ", " + then},
		"The next initiation, 5 s later, proves where it comes from and is answered. See there who sends so much: vpn status")
}

// sources finds that it sends from addresses that are not its own.
func (p *peerJudge) sources() {
	told := make(map[netip.Addr]bool)
	for i := range p.After.Events {
		e := &p.After.Events[i]
		if e.Kind != "source_refused" || e.Time.Before(p.Began.Add(-sourceMemory)) || told[e.Address] {
			continue
		}
		told[e.Address] = true
		evidence := []string{fmt.Sprintf("packets from %v came through its session, and were dropped: %s", e.Address, p.often(e))}
		if inside, ok := covering(p.After.AllowedIPs, e.Address); ok && e.Owner != (key.Public{}) {
			p.overlap(e, inside, evidence)
			continue
		}
		whose := "which is no peer's"
		advice := []string{
			fmt.Sprintf("If it may use that: vpn set %s peer %v allowed-ips +%v, and AllowedIPs in the file", p.judge.After.Name, p.After.PublicKey, host(e.Address)),
			"Else give it its own address there, or let it translate what it passes on (masquerade)",
		}
		if e.Owner != (key.Public{}) {
			whose = "which belongs to " + p.title(e.Owner)
		}
		p.find(SourceRefused, fmt.Sprintf("it sends from %v, %s", e.Address, whose), evidence, advice...)
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// covering is the longest of the prefixes that has an address.
func covering(all []netip.Prefix, a netip.Addr) (longest netip.Prefix, ok bool) {
	for _, prefix := range all {
		if prefix.Contains(a) && (!ok || prefix.Bits() > longest.Bits()) {
			longest, ok = prefix, true
		}
	}
	return longest, ok
}

func (p *peerJudge) overlap(e *report.Event, ours netip.Prefix, evidence []string) {
	theirs := "a narrower prefix"
	if owner := p.peer(e.Owner); owner != nil {
		if narrow, ok := covering(owner.AllowedIPs, e.Address); ok {
			theirs = narrow.String()
		}
	}
	p.find(Overlap, fmt.Sprintf("AllowedIPs overlap: %v is in its %v, and belongs to %s by %s", e.Address, ours, p.title(e.Owner), theirs), evidence,
		fmt.Sprintf("The narrower prefix wins: take %s from %s, or give this peer %v", theirs, p.title(e.Owner), host(e.Address)))
}

// twice finds that the file gives one of its prefixes to another peer as well.
func (p *peerJudge) twice() {
	for _, t := range p.Twice {
		other := t.Second
		switch p.After.PublicKey {
		case t.First:
		case t.Second:
			other = t.First
		default:
			continue
		}
		p.find(Overlap, fmt.Sprintf("AllowedIPs overlap: the file gives %v to it and to %s", t.Prefix, p.title(other)),
			[]string{fmt.Sprintf("%s, lines %d and %d: the later one has it", p.judge.After.File, t.Lines[0], t.Lines[1])},
			"Take it from one of the two")
	}
}
