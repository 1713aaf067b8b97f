package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// maxRows is how many peers a view lists at most.
const maxRows = 200

// View is what the page shows: what it asked for of the interface that it is about.
type View struct {
	Host       string    `json:"host"`
	Interfaces []Summary `json:"interfaces"`
	Interface  *Link     `json:"interface,omitempty"`
	Matched    int       `json:"matched"` // peers that the filter lets through
	First      int       `json:"first"`   // the number of the first of Peers among those
	Peers      []Row     `json:"peers"`
	Peer       *Peer     `json:"peer,omitempty"`
}

// Summary is an interface in a word.
type Summary struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Good  bool   `json:"good"`
	Peers int    `json:"peers"`
}

// Link is the interface that a view is about.
type Link struct {
	*report.Interface
	State  string               `json:"state"`
	Good   bool                 `json:"good"`
	Error  string               `json:"error,omitempty"` // why it can't be asked now; all else is what was known last
	RxRate float64              `json:"rx_rate"`
	TxRate float64              `json:"tx_rate"`
	Plot   *Plot                `json:"plot,omitempty"`
	Counts map[report.State]int `json:"counts"`
}

// Row is a peer in the list.
type Row struct {
	report.Verdict
	PublicKey       key.Public `json:"public_key"`
	Name            string     `json:"name,omitempty"`
	RxRate          float64    `json:"rx_rate"`
	TxRate          float64    `json:"tx_rate"`
	RxBytes         uint64     `json:"rx_bytes"`
	TxBytes         uint64     `json:"tx_bytes"`
	LatestHandshake time.Time  `json:"latest_handshake,omitzero"`
}

// Peer is the peer that a view is about.
type Peer struct {
	*report.Peer
	report.Verdict
	Plot  *Plot     `json:"plot,omitempty"`
	Chain []Session `json:"chain"` // of the last hour, by birth
}

// question is what a view is to be of.
type question struct {
	link         string // none: the first
	peer         key.Public
	filter       string
	sort         string
	first, count int
}

var orders = map[string]func(a, b *peer) int{
	"traffic": func(a, b *peer) int { return cmp.Or(cmp.Compare(b.rate(), a.rate()), byName(a, b)) },
	"total": func(a, b *peer) int {
		return cmp.Or(cmp.Compare(b.now.RxBytes+b.now.TxBytes, a.now.RxBytes+a.now.TxBytes), byName(a, b))
	},
	"name": byName,
	"handshake": func(a, b *peer) int {
		return cmp.Or(b.now.LatestHandshake.Compare(a.now.LatestHandshake), byName(a, b))
	},
	"state": func(a, b *peer) int { return cmp.Or(cmp.Compare(trouble(a), trouble(b)), byName(a, b)) },
}

// byName puts peers that have no name behind those that have.
func byName(a, b *peer) int {
	switch {
	case a.now.Name == "" && b.now.Name != "":
		return 1
	case a.now.Name != "" && b.now.Name == "":
		return -1
	}
	return cmp.Or(strings.Compare(a.now.Name, b.now.Name), slices.Compare(a.now.PublicKey[:], b.now.PublicKey[:]))
}

func (p *peer) rate() float64 {
	if p.now.RxRate == nil || p.now.TxRate == nil {
		return 0
	}
	return *p.now.RxRate + *p.now.TxRate
}

// trouble orders by state, what wants attention first.
func trouble(p *peer) int {
	return slices.Index([]report.State{
		report.Silent, report.Unresolved, report.Off, report.Handshake, report.Never, report.Up, report.Waiting, report.Idle,
	}, p.verdict.State)
}

// parseQuestion reads a view's parameters.
func parseQuestion(v url.Values) (q question, err error) {
	q = question{sort: "traffic", count: 50}
	number := func(text string, most int) (n int) {
		var wrong error
		if n, wrong = strconv.Atoi(text); wrong != nil || n < 0 || n > most {
			err = fmt.Errorf("%q is not a number from 0 to %d", text, most)
		}
		return n
	}
	for name, values := range v {
		value := values[0]
		switch name {
		case "interface":
			q.link = value
		case "peer":
			if q.peer, err = key.ParsePublic(value); err != nil {
				return q, err
			}
		case "filter":
			q.filter = strings.ToLower(value)
		case "sort":
			if q.sort = value; orders[value] == nil {
				return q, fmt.Errorf("sort must be one of %s", strings.Join(slices.Sorted(maps.Keys(orders)), ", "))
			}
		case "first":
			q.first = number(value, 1<<30)
		case "count":
			q.count = number(value, maxRows)
		default:
			return q, fmt.Errorf("there is no parameter %q", name)
		}
		if err != nil {
			return q, fmt.Errorf("%s: %w", name, err)
		}
	}
	return q, nil
}

// view answers a question.
func (w *Watch) view(ctx context.Context, q question) *View {
	host, _ := os.Hostname() // a name to tell pages apart by
	v := &View{Host: host, Interfaces: []Summary{}, Peers: []Row{}}
	var chosen *link
	for _, l := range w.look() {
		l.mu.Lock()
		s := Summary{Name: l.name, Peers: len(l.peers)}
		s.State, s.Good = l.state()
		l.mu.Unlock()
		v.Interfaces = append(v.Interfaces, s)
		if l.name == q.link || chosen == nil {
			chosen = l
		}
	}
	if chosen == nil || !chosen.tell(v, q) || q.peer.IsZero() {
		return v
	}
	v.Peer = chosen.tellPeer(ctx, q.peer)
	return v
}

// state is how an interface is, in a few words, and whether that is as it should be.
func (l *link) state() (text string, good bool) {
	switch i := l.is; {
	case l.err != nil:
		return "can't be asked", false
	case i == nil:
		return "being asked", true
	default:
		text, how := i.Condition()
		return text, how == report.Well
	}
}

// tell fills in what a view has of the interface and of the peers that it lists. It reports whether anything is known.
func (l *link) tell(v *View, q question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v.Interface = &Link{Interface: l.is, RxRate: l.rx, TxRate: l.tx, Plot: l.total.plot(), Counts: maps.Clone(l.counts)}
	v.Interface.State, v.Interface.Good = l.state()
	if l.err != nil {
		v.Interface.Error = l.err.Error()
	}
	if l.is == nil {
		v.Interface.Interface = &report.Interface{Name: l.name}
		return false
	}
	var all []*peer
	for _, p := range l.peers {
		if q.filter == "" || p.matches(q.filter) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, orders[q.sort])
	v.Matched = len(all)
	v.First = min(q.first, max(len(all)-q.count, 0))
	for _, p := range all[v.First:min(v.First+q.count, len(all))] {
		r := Row{
			Verdict: p.verdict, PublicKey: p.now.PublicKey, Name: p.now.Name,
			RxBytes: p.now.RxBytes, TxBytes: p.now.TxBytes, LatestHandshake: p.now.LatestHandshake,
		}
		if p.now.RxRate != nil && p.now.TxRate != nil {
			r.RxRate, r.TxRate = *p.now.RxRate, *p.now.TxRate
		}
		v.Peers = append(v.Peers, r)
	}
	return true
}

// matches says whether a peer's name, key, endpoint, state or one of its prefixes contains the text.
func (p *peer) matches(text string) bool {
	if strings.Contains(strings.ToLower(p.now.Name), text) || strings.Contains(strings.ToLower(p.now.PublicKey.String()), text) ||
		strings.Contains(string(p.verdict.State), text) || p.now.Endpoint.IsValid() && strings.Contains(p.now.Endpoint.String(), text) {
		return true
	}
	for n, prefix := range p.now.AllowedIPs {
		if n == maxRows {
			break
		}
		if strings.Contains(prefix.String(), text) {
			return true
		}
	}
	return false
}

// tellPeer asks about one peer, with its last events, and adds what was kept. It is nil if there is no such peer.
func (l *link) tellPeer(ctx context.Context, public key.Public) *Peer {
	source, err := gather.Open(l.name)
	if err != nil {
		return nil
	}
	is, peers, err := gather.Snapshot(ctx, source, report.Query{Peers: []key.Public{public}, Events: report.MaxEvents})
	if err != nil || len(peers) != 1 {
		return nil
	}
	p := &Peer{Peer: &peers[0], Verdict: report.Judge(is, &peers[0])}
	if len(p.AllowedIPs) > maxRows {
		p.AllowedIPs = p.AllowedIPs[:maxRows]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := range p.Events { // an interface with many peers may have forgotten
		e := p.Events[n]
		e.Peer = public
		l.sessions.happened(&e)
	}
	if is.Engine == report.EngineVPN {
		l.sessions.alive(p.Peer)
	}
	p.Chain = l.sessions.of(public, is.Now.Add(-hour))
	if kept := l.peers[public]; kept != nil {
		p.RxRate, p.TxRate = kept.now.RxRate, kept.now.TxRate
		if kept.plot != nil {
			p.Plot = kept.plot.plot()
		}
	}
	return p
}
