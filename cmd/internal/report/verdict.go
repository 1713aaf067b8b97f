package report

import (
	"fmt"
	"strings"
	"time"
)

// State is how a peer is, in a word.
type State string

// The states, from good to bad.
const (
	Up         State = "up"         // in session, and answering
	Idle       State = "idle"       // no session, and none is wanted
	Waiting    State = "waiting"    // nobody knows where it is: it has to call
	Handshake  State = "handshake"  // an initiation is out, and not for long
	Never      State = "never"      // no session yet, and none is wanted
	Silent     State = "silent"     // it does not answer
	Unresolved State = "unresolved" // its name has no address
	Off        State = "off"        // the interface is down
)

// Verdict is a peer's state in plain words.
type Verdict struct {
	State State  `json:"state"`
	Text  string `json:"verdict"`
}

// patience is how long an answer may take before its lack is worth a word: an initiation is repeated after 5 s.
const patience = 6 * time.Second

// Judge says how a peer is. It reads what one answer told of it and of its interface.
func Judge(i *Interface, p *Peer) Verdict {
	age := func(t time.Time) time.Duration { return max(i.Now.Sub(t), 0) }
	silent := !p.SilentSince.IsZero() && age(p.SilentSince) >= patience
	unheard := !p.UnheardSince.IsZero() && age(p.UnheardSince) >= 10*time.Second
	switch session := p.Current(); {
	case i.Engine == EngineVPN && !i.LinkUp:
		return Verdict{Off, "off: the link is down"}
	case i.Engine == EngineVPN && i.PublicKey.IsZero():
		return Verdict{Off, "off: the interface has no private key"}
	case i.Asleep:
		return Verdict{Off, "off: the host is about to sleep"}
	case i.Engine == EngineVPN && !i.Listening:
		return Verdict{Off, fmt.Sprintf("off: UDP port %d can't be opened", i.ListenPort)}
	case i.Engine != EngineVPN:
		return judgeForeign(i, p)
	case !p.Endpoint.IsValid() && p.LookupError != "":
		return Verdict{Unresolved, fmt.Sprintf("%s does not resolve: %s", p.Configured, p.LookupError)}
	case !p.Endpoint.IsValid() && session == nil:
		return Verdict{Waiting, "no endpoint: waits for the peer to call"}
	case silent:
		return Verdict{Silent, fmt.Sprintf("no answer from %v for %s%s", p.Endpoint, Span(age(p.SilentSince)), why(p))}
	case unheard:
		return Verdict{Silent, fmt.Sprintf("nothing heard from %v for %s", p.Endpoint, Span(age(p.UnheardSince)))}
	case session != nil:
		return Verdict{Up, "up"}
	case p.Attempt != nil:
		return Verdict{Handshake, "shaking hands with " + p.Endpoint.String()}
	case p.LatestHandshake.IsZero():
		return Verdict{Never, "never shaken hands"}
	}
	return Verdict{Idle, "idle for " + Span(age(p.LatestHandshake))}
}

// sessionLife is how long after a handshake a session may live.
const sessionLife = 3 * time.Minute

// judgeForeign does with what every engine tells.
func judgeForeign(i *Interface, p *Peer) Verdict {
	age := i.Now.Sub(p.LatestHandshake)
	switch {
	case p.LatestHandshake.IsZero() && !p.Endpoint.IsValid():
		return Verdict{Waiting, "no endpoint: waits for the peer to call"}
	case p.LatestHandshake.IsZero():
		return Verdict{Never, "never shaken hands"}
	case age < sessionLife:
		return Verdict{Up, "up"}
	}
	return Verdict{Idle, "idle for " + Span(age)}
}

// why is what the last events say of the silence, as the end of a sentence.
func why(p *Peer) string {
	for n := len(p.Events) - 1; n >= 0; n-- {
		e := &p.Events[n]
		if e.Time.Before(p.SilentSince) {
			break
		}
		switch {
		case e.Kind == "path_refused" && e.Refusal != nil && e.Refusal.ICMP != 0:
			return fmt.Sprintf(": %s, says %s", e.Refusal.Error, e.From)
		case e.Kind == "path_refused" && e.Refusal != nil:
			return ": " + e.Refusal.Error
		case e.Kind == "handshake_failed" && e.Reason == "bad_handshake":
			return ": it answers with another preshared key"
		}
	}
	return ""
}

// Current is the session that sends, nil if there is none.
func (p *Peer) Current() *Session {
	for i := range p.Sessions {
		if p.Sessions[i].Place == PlaceCurrent {
			return &p.Sessions[i]
		}
	}
	return nil
}

// Title is the peer's name, or its public key where it has none.
func (p *Peer) Title() string {
	if p.Name != "" {
		return p.Name
	}
	return p.PublicKey.String()
}

// Span writes a time in its two largest units: "40 s", "3 min 20 s", "2 h 5 min", "4 d 1 h".
func Span(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	var parts []string
	for n, u := range units {
		if count := d / u.size; count > 0 || n == len(units)-1 && len(parts) == 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, u.name))
			d %= u.size
		} else if len(parts) > 0 {
			break
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// Rates fills in what a peer's counters did between two answers. It reports false, and leaves p as it is, where they can't be compared.
func (p *Peer) Rates(before *Peer, span time.Duration) bool {
	if span <= 0 || before.PublicKey != p.PublicKey || before.RxBytes > p.RxBytes || before.TxBytes > p.TxBytes {
		return false
	}
	rx := float64(p.RxBytes-before.RxBytes) / span.Seconds()
	tx := float64(p.TxBytes-before.TxBytes) / span.Seconds()
	p.RxRate, p.TxRate = &rx, &tx
	return true
}

// Health is how an interface is, in one word.
type Health int

// The healths.
const (
	Well     Health = iota
	Strained        // it works, or soon will, and is worth a look
	Ill
)

// Condition says how the interface itself is, whatever its peers do.
func (i *Interface) Condition() (text string, how Health) {
	switch {
	case i.Phase != "" && i.Phase != "up":
		return i.Phase, Strained
	case !i.LinkUp:
		return "down", Ill
	case i.Engine == EngineVPN && !i.Listening:
		return fmt.Sprintf("deaf: port %d can't be opened", i.ListenPort), Ill
	case i.UnderLoad:
		return "up, under load: cookies are demanded", Strained
	}
	return "up", Well
}
