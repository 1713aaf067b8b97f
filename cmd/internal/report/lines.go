package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"vpn/noise/key"
)

const (
	// MaxLine is the longest line in bytes: a peer with 100,000 prefixes has one of 3 MB.
	MaxLine = 16 << 20
	// maxText is the longest of the texts in a line, and maxList how many drops, sessions or candidates there are at most.
	maxText = 4 << 10
	maxList = 256
)

// ErrCutShort says that an answer ended before all was told.
var ErrCutShort = errors.New("the answer was cut short")

// Writer writes lines. It is used by one goroutine at a time.
type Writer struct {
	e     *json.Encoder
	flush func() error
}

// NewWriter makes a Writer. What is written is flushed after each line that has to arrive now; flush may be nil.
func NewWriter(w io.Writer, flush func() error) *Writer {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if flush == nil {
		flush = func() error { return nil }
	}
	return &Writer{e, flush}
}

// Write writes one line. Peers, of which many come at once, are flushed with what follows them.
func (w *Writer) Write(l *Line) error {
	if err := w.e.Encode(l); err != nil {
		return err
	}
	if l.Peer != nil {
		return nil
	}
	return w.flush()
}

// Close ends the answer: err is why, nil if all is told.
func (w *Writer) Close(err error) error {
	if err != nil {
		return w.Write(&Line{Error: clean(err.Error())})
	}
	return w.Write(&Line{End: true})
}

// Read tells the lines of an answer up to its end. They may be anybody's: whatever is told has been checked, and its text is fit for a
// terminal. An answer that says why it ended is an error; one that does not end is ErrCutShort. An error of tell ends it. What is told
// is the callee's.
func Read(r io.Reader, tell func(*Line) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), MaxLine)
	for s.Scan() {
		l := new(Line)
		if err := json.Unmarshal(s.Bytes(), l); err != nil {
			return fmt.Errorf("a line that is none: %w", err)
		}
		switch {
		case l.End:
			return nil
		case l.Error != "":
			return errors.New(clean(l.Error))
		}
		if err := l.check(); err != nil {
			return err
		}
		if err := tell(l); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrCutShort, err)
	}
	return ErrCutShort
}

// check cleans a line's text, and refuses what no engine says.
func (l *Line) check() error {
	switch {
	case l.Interface != nil:
		return l.Interface.check()
	case l.Peer != nil:
		return l.Peer.check()
	case l.Event != nil:
		return l.Event.check()
	}
	return nil // a line that is new here
}

func (i *Interface) check() error {
	if len(i.Faults) > maxList*maxList {
		return errors.New("an interface with too many faults")
	}
	cleanAll(&i.Name, &i.Engine, &i.File, &i.Phase)
	for n := range i.Faults {
		cleanAll(&i.Faults[n])
	}
	if len(i.Happened) > maxList || len(i.Ended) > maxList || len(i.Waits) > maxList {
		return errors.New("an interface with too many counts")
	}
	for n := range i.Happened {
		cleanAll(&i.Happened[n].What)
	}
	for n := range i.Ended {
		cleanAll(&i.Ended[n].What)
	}
	for n := range i.Waits {
		w := &i.Waits[n]
		if len(w.Bounds) > maxList || len(w.Counts) != len(w.Bounds)+1 || !slices.IsSorted(w.Bounds) {
			return errors.New("waits that are no histogram")
		}
		cleanAll(&w.For)
	}
	return errors.Join(checkDrops(i.Drops), checkEvents(i.Events))
}

func (p *Peer) check() error {
	if p.PublicKey == (key.Public{}) {
		return errors.New("a peer without a key")
	}
	if len(p.Sessions) > maxList || len(p.Candidates) > maxList {
		return errors.New("a peer with too many sessions or candidates")
	}
	cleanAll(&p.Name, &p.Configured, &p.LookupError, (*string)(&p.EndpointFrom))
	for n := range p.Sessions {
		s := &p.Sessions[n]
		cleanAll(&s.Name, &s.Place, &s.Role)
	}
	return errors.Join(checkDrops(p.Drops), checkEvents(p.Events))
}

func checkDrops(all []Drop) error {
	if len(all) > maxList {
		return errors.New("too many reasons")
	}
	for n := range all {
		cleanAll(&all[n].Reason)
	}
	return nil
}

func checkEvents(all []Event) error {
	if len(all) > maxList {
		return errors.New("too many events")
	}
	for n := range all {
		if err := all[n].check(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Event) check() error {
	if e.Kind == "" {
		return errors.New("an event of no kind")
	}
	cleanAll(&e.Kind, &e.PeerName, &e.Session, &e.Role, &e.Why, &e.Reason, &e.From)
	if e.Refusal != nil {
		cleanAll(&e.Refusal.Error)
	}
	return nil
}

func cleanAll(texts ...*string) {
	for _, s := range texts {
		*s = clean(*s)
	}
}

// clean makes text fit for a log and a terminal.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	plain := utf8.ValidString(s)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 { // also what turns the direction of writing
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
