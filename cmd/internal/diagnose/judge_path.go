package diagnose

import (
	"fmt"
	"net/netip"

	"vpn/cmd/internal/report"
)

// overhead is how much longer a message is than the packet in it, with its outer headers.
func overhead(at netip.Addr) int {
	if at.Unmap().Is4() {
		return 60
	}
	return 80
}

// passed finds that what came out of the tunnel stays here.
func (p *peerJudge) passed() {
	told := make(map[string]bool)
	for _, t := range p.Traffic {
		owner, ok := covering(p.After.AllowedIPs, t.Source)
		if !ok || told[t.Filter+t.Forwarding] || !p.owns(owner, t.Source) {
			continue
		}
		told[t.Filter+t.Forwarding] = true
		evidence := []string{fmt.Sprintf("a packet from %v to %v came out of the tunnel", t.Source, t.Destination)}
		switch {
		case t.Filter != "":
			back := "nowhere"
			if t.Back != "" {
				back = "by " + t.Back
			}
			p.find(ReversePath, fmt.Sprintf("the reverse-path filter drops its packets from %v", t.Source),
				append(evidence, fmt.Sprintf("%s is on, and packets to %v go %s and not by %s", t.Filter, t.Source, back, p.judge.After.Name)),
				fmt.Sprintf("Route it into the tunnel: ip route add %v dev %s", owner, p.judge.After.Name),
				"If the way back is meant to differ: sysctl -w "+t.Filter+"=2")
		case t.Forwarding != "":
			p.find(NotForwarding, "its packets are for others, and this host forwards none", append(evidence, t.Forwarding+" is 0"),
				"Switch it on: sysctl -w "+t.Forwarding+"=1, and in /etc/sysctl.d to keep it",
				"Who is to answer needs a way back: Masquerade = on in the file, or a route to "+p.judge.After.Name+"'s addresses")
		}
	}
}

// owns reports whether no other peer that is known has a narrower prefix around an address.
func (p *peerJudge) owns(ours netip.Prefix, a netip.Addr) bool {
	for i := range p.Peers {
		if theirs, ok := covering(p.Peers[i].After.AllowedIPs, a); ok && theirs.Bits() > ours.Bits() {
			return false
		}
	}
	return true
}

// routes finds that packets for it go elsewhere. What the reverse-path filter drops for that is told already.
func (p *peerJudge) routes() {
	if len(p.After.AllowedIPs) == 0 {
		p.find(RouteElsewhere, "it has no AllowedIPs: no packet can go there, and none is taken from there", nil,
			fmt.Sprintf("Give it its addresses: vpn set %s peer %v allowed-ips PREFIX, and AllowedIPs in the file", p.judge.After.Name, p.After.PublicKey))
		return
	}
	for _, r := range p.Routes {
		if r.Link == p.judge.After.Name || p.filtered(r.Prefix) {
			continue
		}
		where := "nowhere: " + r.Err
		if r.Link != "" {
			where = "out by " + r.Link
		}
		p.find(RouteElsewhere, fmt.Sprintf("packets for its %v don't go into the tunnel, but %s", r.Prefix, where),
			[]string{fmt.Sprintf("ip route get %v leads %s", r.Address, where)},
			fmt.Sprintf("Add the route: ip route add %v dev %s; vpn up does that by itself, unless Table = off", r.Prefix, p.judge.After.Name))
	}
}

func (p *peerJudge) filtered(prefix netip.Prefix) bool {
	for _, t := range p.Traffic {
		if t.Filter != "" && prefix.Contains(t.Source) {
			return true
		}
	}
	return false
}

// mtu finds that packets as large as the interface lets through are too large for the path.
func (p *peerJudge) mtu() {
	i, a := p.judge.After, &p.After
	if i.MTU == 0 || !a.Endpoint.IsValid() || p.has(PathMTU) || p.has(EndpointInside) {
		return
	}
	over := overhead(a.Endpoint.Addr())
	var evidence []string
	fits := i.MTU
	if r := p.Reach; r != nil && r.Largest < i.MTU {
		fits = r.Largest
		evidence = append(evidence, fmt.Sprintf("through the tunnel %v answers packets of up to %d bytes, and none that are larger", r.Address, r.Largest))
	}
	if w := p.Way; w != nil && w.MTU != 0 && w.MTU-over < i.MTU {
		fits = min(fits, w.MTU-over)
		evidence = append(evidence, fmt.Sprintf("the path to %v takes %d bytes, by %s: messages of up to %d are sent in fragments", a.Endpoint.Addr(), w.MTU, w.Link, i.MTU+over))
	}
	if len(evidence) == 0 {
		return
	}
	advice := []string{fmt.Sprintf("Set MTU = %d on both sides: in the file, or ip link set %s mtu %d", fits, i.Name, fits)}
	if fits < 1280 {
		advice = append(advice, "IPv6 needs 1280 at least: with less it is lost to the link")
	}
	p.find(PathMTU, fmt.Sprintf("the path takes packets of %d bytes, and the MTU of %s is %d", fits, i.Name, i.MTU), evidence, advice...)
}

// drops are what was dropped of the peer's while it was watched, of what no other finding tells of.
func (p *peerJudge) drops() map[string]uint64 {
	all := make(map[string]uint64)
	drops(all, p.Before.Drops, p.After.Drops)
	return all
}

// silence finds that there is no answer, and what that may be.
func (p *peerJudge) silence() {
	a := &p.After
	evidence := []string{fmt.Sprintf("initiations to %v have no answer, and no ICMP error came back", a.Endpoint)}
	if !a.SilentSince.IsZero() {
		evidence = append(evidence, "the first was sent "+p.ago(a.SilentSince))
	}
	if a.LatestHandshake.IsZero() {
		evidence = append(evidence, "there has never been a handshake")
	} else {
		evidence = append(evidence, "the last handshake was "+p.ago(a.LatestHandshake))
	}
	text := fmt.Sprintf("no answer from %v, and nothing says why", a.Endpoint)
	if find(a.Events, p.Began.Add(-strangerMemory), "response_sent", "") != nil {
		text = fmt.Sprintf("%v calls, and does not hear our answers", a.Endpoint)
		evidence = append(evidence, "it sends initiations that are in order; it confirms none of our responses")
	}
	port := a.Endpoint.Port()
	p.find(Silence, text, evidence,
		fmt.Sprintf("Look at the other end whether they arrive: tcpdump -ni any udp port %d", port),
		fmt.Sprintf("None arrive: a firewall or router on the way drops UDP to port %d; or the address is behind a router that must forward the port; or it is another machine's by now", port),
		fmt.Sprintf("They arrive and nobody answers: it is not up, or its ListenPort is not %d, or its own firewall drops them", port),
		fmt.Sprintf("It is up and does not answer: wg show there must list our key %v as a peer, and its own public key must be %v", p.judge.After.PublicKey, a.PublicKey),
		"All that is so: its clock does not matter, ours does; was it set back? Then it takes our handshakes for replays until ours has caught up",
		"It answers, and nothing comes here: a router's address translation has forgotten us, or this host's firewall drops what comes in")
}

// healthy tells what was tried.
func (p *peerJudge) healthy() {
	a, i := &p.After, p.judge.After
	var evidence []string
	if !a.LatestHandshake.IsZero() {
		evidence = append(evidence, "it shook hands "+p.ago(a.LatestHandshake))
	}
	switch r := p.Reach; {
	case r != nil && i.MTU != 0:
		evidence = append(evidence, fmt.Sprintf("%v answers through the tunnel, also packets of %d bytes, which is the MTU", r.Address, i.MTU))
	case r != nil:
		evidence = append(evidence, fmt.Sprintf("%v answers through the tunnel", r.Address))
	default:
		evidence = append(evidence, "none of its inner addresses was asked or answers echo requests, so what passes through the tunnel is not known")
	}
	if i.Engine != report.EngineVPN {
		evidence = append(evidence, "this interface is run by another program, which tells little: what it drops is not known")
	}
	p.find(Healthy, "all is well", evidence)
}
