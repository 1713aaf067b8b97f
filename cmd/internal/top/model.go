package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/report"
	"vpn/cmd/internal/status"
	"vpn/noise/key"
)

// history is how many rates are kept of each peer, for its plots.
const history = 256

// An id names a peer of the host: one may be a peer of several interfaces.
type id struct {
	link string
	key  key.Public
}

// row is one peer, as it was last told of.
type row struct {
	id      id
	link    *report.Interface
	peer    *report.Peer
	verdict report.Verdict
	in, out []float32 // bytes a second, the newest last; as many of one as of the other
}

func (r *row) rates() (in, out float64) {
	if r.peer.RxRate != nil && r.peer.TxRate != nil {
		in, out = *r.peer.RxRate, *r.peer.TxRate
	}
	return in, out
}

// remember adds the rates of now to those before. A peer that was always silent keeps nothing.
func (r *row) remember() {
	in, out := r.rates()
	if in == 0 && out == 0 && len(r.in) == 0 {
		return
	}
	r.in, r.out = newest(append(r.in, float32(in))), newest(append(r.out, float32(out)))
}

// newest keeps the end of a history, and moves it to the front only when it has grown to twice its length.
func newest(s []float32) []float32 {
	if len(s) < 2*history {
		return s
	}
	return s[:copy(s, s[len(s)-history:])]
}

// age is that of the session that sends, or of the last handshake where no session is told of; false where there is none.
func (r *row) age() (time.Duration, bool) {
	switch s := r.peer.Current(); {
	case s != nil:
		return max(r.link.Now.Sub(s.Born), 0), true
	case r.link.Engine != report.EngineVPN && r.verdict.State == report.Up:
		return max(r.link.Now.Sub(r.peer.LatestHandshake), 0), true
	}
	return 0, false
}

// sessionLife is how long a session may live; it ends with the rekey that comes before.
const sessionLife = 3 * time.Minute

// left is what is left of the session until it is replaced, from 1 to 0. Where the other side is to replace it, it is what is left until it
// ends.
func (r *row) left() float64 {
	age, _ := r.age()
	s := r.peer.Current()
	if s == nil {
		return 1 - share(age, sessionLife)
	}
	end := s.ReplacedAt
	if end.IsZero() {
		end = s.Expires
	}
	gone := share(age, end.Sub(s.Born))
	if limit := r.link.RekeyAfterPackets; limit != 0 {
		gone = max(gone, min(float64(s.SentMessages)/float64(limit), 1))
	}
	return 1 - gone
}

func share(part, of time.Duration) float64 {
	if of <= 0 {
		return 1
	}
	return min(max(part.Seconds()/of.Seconds(), 0), 1)
}

// matches says whether the filter, in lower case, is in something that a person knows the peer by.
func (r *row) matches(filter string) bool {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), filter) }
	if has(r.id.link) || has(r.peer.Name) || has(r.peer.PublicKey.String()) || has(r.verdict.Text) || has(string(r.verdict.State)) ||
		has(r.peer.Configured) || r.peer.Endpoint.IsValid() && has(r.peer.Endpoint.String()) {
		return true
	}
	return slices.ContainsFunc(r.peer.AllowedIPs, func(p netip.Prefix) bool { return has(p.String()) })
}

// order is what rows are sorted by.
type order int

// The orders, as the key for the next goes through them.
const (
	byTraffic order = iota
	byIn
	byOut
	byName
	byState
	byAge
	orders
)

var orderNames = [orders]string{"traffic", "in", "out", "peer", "state", "session"}

var severity = map[report.State]int{
	report.Off: 0, report.Unresolved: 1, report.Silent: 2, report.Handshake: 3, report.Never: 4, report.Waiting: 5, report.Idle: 6, report.Up: 7,
}

// compare puts what asks for attention first: the busy, the broken, the oldest; names as they are in a list.
func (o order) compare(a, b *row) int {
	aIn, aOut := a.rates()
	bIn, bOut := b.rates()
	switch o {
	case byTraffic:
		return cmp.Or(cmp.Compare(bIn+bOut, aIn+aOut), cmp.Compare(b.peer.RxBytes+b.peer.TxBytes, a.peer.RxBytes+a.peer.TxBytes))
	case byIn:
		return cmp.Compare(bIn, aIn)
	case byOut:
		return cmp.Compare(bOut, aOut)
	case byState:
		return cmp.Compare(severity[a.verdict.State], severity[b.verdict.State])
	case byAge:
		aAge, aIs := a.age()
		bAge, bIs := b.age()
		if aIs != bIs {
			return cmp.Compare(boolean(bIs), boolean(aIs))
		}
		return cmp.Compare(bAge, aAge)
	}
	return 0
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func byTitle(a, b *row) int {
	if unnamed := cmp.Compare(boolean(a.peer.Name == ""), boolean(b.peer.Name == "")); unnamed != 0 {
		return unnamed
	}
	return cmp.Or(strings.Compare(a.peer.Title(), b.peer.Title()), strings.Compare(a.id.link, b.id.link))
}

// model is what there is to be shown, and how it is to be.
type model struct {
	links    []status.Interface // by name
	troubles []string           // of interfaces that could not be asked
	rows     map[id]*row
	shown    []*row // those that the filter lets through, sorted

	order    order
	backward bool
	filter   string
	typing   bool // keys go into the filter
	selected id   // its row may be gone
	first    int  // the row at the top of the list
	page     int  // rows that the list has room for, when it was drawn last
	details  bool
	paused   bool
}

func newModel() *model { return &model{rows: make(map[id]*row), details: true, page: 1} }

// take has the model know what a turn of the watcher found. The rates are those since the turn before.
func (m *model) take(t turn) {
	if m.paused {
		return
	}
	m.links, m.troubles = t.links, t.troubles
	rows := make(map[id]*row, len(m.rows))
	for n := range t.links {
		l := &t.links[n]
		for p := range l.Peers {
			peer := &l.Peers[p]
			who := id{l.Name, peer.PublicKey}
			r := &row{id: who, link: l.Interface, peer: peer, verdict: report.Judge(l.Interface, peer)}
			if old := m.rows[who]; old != nil {
				peer.Rates(old.peer, l.Now.Sub(old.link.Now))
				r.in, r.out = old.in, old.out
				r.remember()
			}
			rows[who] = r
		}
	}
	m.rows = rows
	m.arrange()
}

// arrange filters and sorts anew.
func (m *model) arrange() {
	filter := strings.ToLower(m.filter)
	m.shown = m.shown[:0]
	for _, r := range m.rows {
		if filter == "" || r.matches(filter) {
			m.shown = append(m.shown, r)
		}
	}
	slices.SortFunc(m.shown, func(a, b *row) int {
		by, title := m.order.compare(a, b), byTitle(a, b)
		if m.backward {
			if m.order == byName {
				title = -title
			}
			by = -by
		}
		return cmp.Or(by, title)
	})
	m.follow()
}

// at is the place of the selected row, 0 if it isn't shown.
func (m *model) at() int {
	return max(slices.IndexFunc(m.shown, func(r *row) bool { return r.id == m.selected }), 0)
}

// follow moves the list so that the selected row is on the screen.
func (m *model) follow() {
	at := m.at()
	m.first = min(m.first, at)
	m.first = max(m.first, at-m.page+1)
	m.first = max(min(m.first, len(m.shown)-m.page), 0)
}

// move selects another row, so many below.
func (m *model) move(by int) {
	if len(m.shown) == 0 {
		return
	}
	at := min(max(m.at()+by, 0), len(m.shown)-1)
	m.selected = m.shown[at].id
	m.follow()
}

// press does what a key asks for. It reports false when that is the end.
func (m *model) press(k string) bool {
	if k == keyInterrupt {
		return false
	}
	if m.typing {
		m.typeInto(k)
		return true
	}
	switch k {
	case "q":
		return false
	case "/":
		m.typing = true
	case keyEscape:
		m.filter = ""
		m.arrange()
	case "s", ">", keyRight:
		m.sortBy((m.order + 1) % orders)
	case "S", "<", keyLeft:
		m.sortBy((m.order + orders - 1) % orders)
	case "r":
		m.backward = !m.backward
		m.arrange()
	case keyEnter:
		m.details = !m.details
	case " ":
		m.paused = !m.paused
	case keyUp, "k":
		m.move(-1)
	case keyDown, "j":
		m.move(1)
	case keyPageUp:
		m.move(-m.page)
	case keyPageDown:
		m.move(m.page)
	case keyHome, "g":
		m.move(-len(m.shown))
	case keyEnd, "G":
		m.move(len(m.shown))
	}
	return true
}

func (m *model) sortBy(o order) {
	m.order, m.backward = o, false
	m.arrange()
}

func (m *model) typeInto(k string) {
	switch k {
	case keyEnter:
		m.typing = false
		return
	case keyEscape:
		m.filter, m.typing = "", false
	case keyErase:
		text := []rune(m.filter)
		m.filter = string(text[:max(len(text)-1, 0)])
	case keyClear:
		m.filter = ""
	case keyUp:
		m.move(-1)
		return
	case keyDown:
		m.move(1)
		return
	default:
		if !printable(k) || len(m.filter)+len(k) > maxFilter {
			return
		}
		m.filter += k
	}
	m.arrange()
}

// maxFilter is more bytes than a public key has.
const maxFilter = 64
