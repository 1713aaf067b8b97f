package metrics

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"time"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
)

// DefaultMaxPeers is how many peers of an interface have series of their own.
const DefaultMaxPeers = 500

// patience is how long an interface may take to answer. Prometheus gives a scrape 10 s unless told otherwise.
const patience = 8 * time.Second

// Config is what a Collector is made of.
type Config struct {
	MaxPeers int    // of one interface, that have series of their own; see the package's text
	Version  string // of this program
	Log      *slog.Logger
}

// A Collector asks the interfaces of the host it runs on. It may be used concurrently: scrapes take turns.
type Collector struct {
	config Config

	turn    chan struct{}      // holds one token, which guards what follows
	ledgers map[string]*ledger // by interface
	asked   map[string]*asking // of interfaces that have not answered in their time

	patience time.Duration
	names    func() ([]string, error)
	open     func(name string) (report.Source, error)
}

// New makes a Collector.
func New(c Config) *Collector {
	x := &Collector{
		config: c, turn: make(chan struct{}, 1), ledgers: make(map[string]*ledger), asked: make(map[string]*asking),
		patience: patience, names: gather.Names, open: gather.Open,
	}
	x.turn <- struct{}{}
	return x
}

// asking is one question to one interface. What it found may be read when done is closed.
type asking struct {
	done  chan struct{}
	link  *report.Interface
	peers []report.Peer
	err   error
}

func (a *asking) over() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// Collect asks all interfaces, and writes what they tell. An interface that fails to answer is told to have failed, and holds nobody up;
// it is not asked again before it has answered the first question. It is an error if nobody knows which interfaces there are, if ctx ends
// before it is this scrape's turn, or if w fails.
func (c *Collector) Collect(ctx context.Context, w io.Writer) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	text, err := c.page(ctx)
	c.turn <- struct{}{}
	if err != nil {
		return err
	}
	return text.writeTo(w)
}

// page makes the text of one scrape, with the turn taken.
func (c *Collector) page(ctx context.Context) (*page, error) {
	names, err := c.names()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	all := make([]*asking, len(names))
	for n, name := range names {
		if all[n] = c.asked[name]; all[n] == nil || all[n].over() {
			all[n] = c.ask(ctx, name)
		}
	}
	text := new(page)
	text.truth(buildInfo, labels("").with("version", c.config.Version).with("goversion", runtime.Version()), true)
	ledgers, asked := make(map[string]*ledger, len(names)), make(map[string]*asking)
	for n, name := range names {
		l := labels("").with("interface", name)
		book := c.ledgers[name]
		if book == nil {
			book = new(ledger)
		}
		ledgers[name] = book
		a := all[n]
		select {
		case <-a.done:
		case <-ctx.Done():
		}
		switch {
		case !a.over():
			asked[name] = a
			c.config.Log.Warn("an interface does not answer", "interface", name)
			text.truth(interfaceAnswers, l, false)
		case a.err != nil:
			c.config.Log.Warn("an interface can't be asked", "interface", name, "error", a.err)
			text.truth(interfaceAnswers, l, false)
		default:
			text.truth(interfaceAnswers, l, true)
			text.tell(l, a.link)
			text.tellPeers(l, a.link, a.peers, book, c.config.MaxPeers)
		}
	}
	c.ledgers, c.asked = ledgers, asked
	return text, nil
}

// ask begins to ask an interface, first without its peers: if there are many, those that never talked needn't be told of.
func (c *Collector) ask(ctx context.Context, name string) *asking {
	a := &asking{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		s, err := c.open(name)
		if err != nil {
			a.err = err
			return
		}
		if a.link, _, a.err = gather.Snapshot(ctx, s, report.Query{Which: report.None}); a.err != nil {
			return
		}
		q := report.Query{Which: report.All}
		if a.link.PeerCount > c.config.MaxPeers {
			q.Which = report.Active
		}
		a.link, a.peers, a.err = gather.Snapshot(ctx, s, q)
	}()
	return a
}
