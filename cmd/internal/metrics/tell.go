package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/report"
	"vpn/tunnel"
)

// maxAllowedIPs is how many bytes of a peer's prefixes go into its label: some peers have 100,000.
const maxAllowedIPs = 256

// These are the outcomes and messages. They are counted from the start, so that the first one of each is a step that
// rate() sees; so are the ends of sessions and the reasons for drops.
var (
	outcomes = []struct{ outcome, event string }{
		{"completed", "session_started"}, {"unanswered", "initiation_unanswered"}, {"given_up", "attempt_given_up"},
		{"failed", "handshake_failed"}, {"refused", "stranger_refused"},
	}
	messages = []string{"initiation_sent", "initiation_received", "response_sent", "response_received", "cookie_received"}
)

// seconds is a Unix time, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// tell tells of an interface.
func (p *page) tell(l labels, i *report.Interface) {
	public := ""
	if !i.PublicKey.IsZero() {
		public = i.PublicKey.String()
	}
	p.truth(interfaceInfo, l.with("engine", i.Engine).with("public_key", public), true)
	p.truth(interfaceUp, l, i.LinkUp && i.Listening)
	if i.Engine != report.EngineVPN {
		return // they tell no more
	}
	happened := make(map[string]uint64)
	for _, c := range i.Happened {
		happened[c.What] = c.Times
	}
	p.add(interfaceStart, l, seconds(i.Since))
	p.add(interfaceFaults, l, float64(len(i.Faults)))
	for _, o := range outcomes {
		p.count(handshakes, l.with("outcome", o.outcome), happened[o.event])
	}
	for _, m := range messages {
		p.count(handshakeMessages, l.with("message", m), happened[m])
	}
	p.count(rekeys, l, i.Rekeys)
	ended := map[string]uint64{"replaced": 0, "expired": 0, "displaced": 0}
	dropped := make(map[string]uint64)
	for _, r := range tunnel.Reasons() {
		dropped[r.String()] = 0
	}
	for _, c := range i.Ended {
		ended[c.What] = c.Times
	}
	for _, d := range i.Drops {
		dropped[d.Reason] = d.Count
	}
	for _, why := range slices.Sorted(maps.Keys(ended)) {
		p.count(sessionsEnded, l.with("why", why), ended[why])
	}
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		p.count(drops, l.with("reason", reason), dropped[reason])
	}
	p.count(endpointMoves, l, happened["endpoint_moved"])
	p.count(pathRefusals, l, happened["path_refused"])
	p.count(socketErrors, l.with("error", "failed"), i.SocketErrors)
	p.count(socketErrors, l.with("error", "malformed"), i.SocketMalformed)
	p.count(socketErrors, l.with("error", "overflow"), i.SocketOverflows)
	p.truth(underLoad, l, i.UnderLoad)
	p.add(handshakesWaiting, l, float64(i.HandshakesWaiting))
	p.count(stagedBytes, l, i.StagedBytes)
	for _, w := range i.Waits {
		p.histogram(queueDelay, l.with("queue", w.For), w.Bounds, w.Counts, w.Sum)
	}
}

// tellPeers tells of an interface's peers. Those that are not among peers never talked.
func (p *page) tellPeers(l labels, i *report.Interface, peers []report.Peer, book *ledger, limit int) {
	total := max(i.PeerCount, len(peers))
	states := map[report.State]int{report.Up: 0, report.Idle: 0, report.Silent: 0, report.Never: 0}
	count := func(one *report.Peer, times int) {
		state := report.Judge(i, one).State
		if state == report.Waiting && one.LatestHandshake.IsZero() { // which, of those that are not told of, nobody knows
			state = report.Never
		}
		states[state] += times
	}
	for n := range peers {
		count(&peers[n], 1)
	}
	count(new(report.Peer), total-len(peers))
	for _, state := range []report.State{report.Up, report.Idle, report.Waiting, report.Handshake, report.Never, report.Silent, report.Unresolved, report.Off} {
		if n, always := states[state]; n > 0 || always {
			p.add(interfacePeers, l.with("state", string(state)), float64(n))
		}
	}
	own := book.share(peers, total, limit)
	for _, one := range own {
		p.tellPeer(l, i, one)
	}
	p.add(interfaceOthers, l, float64(total-len(own)))
	if total > len(own) || book.sum != (tallied{}) {
		p.tellCounters(l.with("public_key", "other"), peerLabels(l, "other", "", ""), i, book.sum)
	}
}

// peerLabels are those of a peer. Existing dashboards know them by these names.
func peerLabels(l labels, public, allowed, name string) (all labels) {
	return l.with("public_key", public).with("allowed_ips", allowed).with("friendly_name", name)
}

func (p *page) tellPeer(l labels, i *report.Interface, one *report.Peer) {
	public := one.PublicKey.String()
	full := peerLabels(l, public, allowedIPs(one), one.Name)
	short := l.with("public_key", public).with("friendly_name", one.Name)
	p.tellCounters(short, full, i, talliedOf(one))
	p.add(peerHandshake, full, float64(int64(seconds(one.LatestHandshake))))
	if !one.LatestHandshake.IsZero() {
		p.add(peerHandshakeDelay, full, max(i.Now.Sub(one.LatestHandshake), 0).Seconds())
	}
	p.truth(peerUp, short, report.Judge(i, one).State == report.Up)
	if s := one.Current(); s != nil {
		p.add(peerSessionAge, short, max(i.Now.Sub(s.Born), 0).Seconds())
	}
}

func (p *page) tellCounters(short, full labels, i *report.Interface, t tallied) {
	p.count(peerSent, full, t.sent)
	p.count(peerReceived, full, t.received)
	if i.Engine == report.EngineVPN {
		p.count(peerRekeys, short, t.rekeys)
		p.count(peerDrops, short, t.drops)
	}
}

// allowedIPs are a peer's prefixes as other exporters write them, as many as have room.
func allowedIPs(p *report.Peer) string {
	var b strings.Builder
	for n, prefix := range p.AllowedIPs {
		one := prefix.String()
		if b.Len()+len(one) > maxAllowedIPs {
			b.WriteString(",...")
			break
		}
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one)
	}
	return b.String()
}
