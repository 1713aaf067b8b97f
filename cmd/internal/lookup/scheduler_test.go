package lookup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vpn/conf"
	"vpn/noise/key"
)

var errTimeout = &net.DNSError{Err: "i/o timeout", Name: "a.test", Server: "192.0.2.53:53", IsTimeout: true}

// book is a resolver whose answers are given by name. A name that it doesn't
// have does not exist.
type book struct {
	mu    sync.Mutex // guards all below
	addrs map[string][]netip.Addr
	errs  map[string]error
	takes time.Duration // each lookup
	asked []string      // names, in order
	at    []time.Time   // when
}

func (b *book) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	b.mu.Lock()
	b.asked, b.at = append(b.asked, host), append(b.at, time.Now())
	takes := b.takes
	b.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.errs[host]; err != nil {
		return nil, err
	}
	if list, ok := b.addrs[host]; ok {
		return list, nil
	}
	return nil, notFound(host)
}

func (b *book) set(host string, addrs []netip.Addr, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addrs == nil {
		b.addrs, b.errs = map[string][]netip.Addr{}, map[string]error{}
	}
	b.addrs[host], b.errs[host] = addrs, err
}

// times returns how often a name was asked for.
func (b *book) times(host string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, asked := range b.asked {
		if asked == host {
			n++
		}
	}
	return n
}

// fixture is a Scheduler in a bubble of time.
type fixture struct {
	*Scheduler
	t    *testing.T
	log  bytes.Buffer
	stop func()
}

func start(t *testing.T, b *book, path string, peers ...Peer) *fixture {
	f := &fixture{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.Scheduler = Start(ctx, Config{Lookup: b.lookup, Path: path, Log: log}, peers)
	f.stop = func() {
		cancel()
		for range f.Results() {
		}
	}
	return f
}

// want waits for a result.
func (f *fixture) want(p Peer, list ...string) {
	f.t.Helper()
	select {
	case r := <-f.Results():
		if got := fmt.Sprint(r.Candidates); r.Peer != p.Key || got != fmt.Sprint(list) {
			f.t.Errorf("%v of %v, want %v of %v", got, r.Peer, list, p.Key)
		}
	case <-time.After(time.Hour):
		f.t.Errorf("no result, want %v", list)
	}
}

// quiet says that nothing comes for a while.
func (f *fixture) quiet(d time.Duration) {
	f.t.Helper()
	select {
	case r, ok := <-f.Results():
		f.t.Errorf("%v, %v: nothing was to come", r, ok)
	case <-time.After(d):
	}
}

// drain takes what comes for a while.
func (f *fixture) drain(d time.Duration) {
	for end := time.After(d); ; {
		select {
		case <-f.Results():
		case <-end:
			return
		}
	}
}

func at(id byte, endpoints ...string) Peer {
	p := Peer{Key: key.Public{id}}
	for _, text := range endpoints {
		host, port, _ := strings.Cut(text, " ")
		e := conf.Endpoint{Host: host}
		fmt.Sscan(port, &e.Port)
		p.Endpoints = append(p.Endpoints, e)
	}
	return p
}

// bubble runs a test in a bubble of time; nothing of it may be left at the end.
func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestAllAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{takes: 10 * time.Millisecond}
		b.set("a.test", addrs("2001:db8::1", "192.0.2.1"), nil)
		b.set("b.test", addrs("192.0.2.2"), nil)
		p := at(1, "A.test. 51820", "192.0.2.9 7", "b.test 1", "a.test 51820")
		f := start(t, b, "", p, at(2, "192.0.2.8 9"))
		defer f.stop()
		f.want(p, "[2001:db8::1]:51820", "192.0.2.9:7", "192.0.2.2:1", "192.0.2.1:51820")
		f.quiet(time.Hour)
		if len(b.asked) != 2 {
			t.Errorf("asked for %v", b.asked)
		}
		if got := fmt.Sprint(f.Known(at(2).Key), f.Known(at(3).Key)); got != "[192.0.2.8:9] []" {
			t.Errorf("known: %s", got)
		}
	})
}

func TestManyPeersOneName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{takes: time.Millisecond}
		b.set("a.test", addrs("192.0.2.1"), nil)
		var peers []Peer
		for id := range byte(200) {
			peers = append(peers, at(id, fmt.Sprintf("a.test %d", 1000+int(id))))
		}
		f := start(t, b, "", peers...)
		defer f.stop()
		for id, p := range peers {
			f.want(p, fmt.Sprintf("192.0.2.1:%d", 1000+id))
		}
		if len(b.asked) != 1 {
			t.Errorf("asked for %v", b.asked)
		}
	})
}

func TestManyNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{takes: 5 * time.Second}
		var peers []Peer
		for id := range byte(250) {
			peers = append(peers, at(id, fmt.Sprintf("%d.test 1", id)))
		}
		f := start(t, b, "", peers...)
		defer f.stop()
		synctest.Wait()
		if len(b.asked) != maxAsking {
			t.Errorf("%d names at once", len(b.asked))
		}
		for id := range byte(250) {
			b.set(fmt.Sprintf("%d.test", id), addrs("192.0.2.1"), nil)
		}
		for range peers {
			<-f.Results()
		}
		if len(b.asked) != len(peers) {
			t.Errorf("%d questions for %d names", len(b.asked), len(peers))
		}
	})
}

// TestTriesOn has neither resolver nor cache at first, then no such name, and
// then an address.
func TestTriesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", nil, errTimeout)
		p := at(1, "a.test 1")
		f := start(t, b, "", p)
		defer f.stop()
		f.quiet(time.Minute)
		var waits []string
		for i := range 3 {
			waits = append(waits, b.at[i+1].Sub(b.at[i]).String())
		}
		if got := fmt.Sprint(waits); got != "[1s 1.2s 1.44s]" {
			t.Errorf("waits %s", got)
		}
		if got := fmt.Sprint(f.Failures()); !strings.Contains(got, "a.test") || !strings.Contains(got, "timeout") {
			t.Errorf("failures: %s", got)
		}
		b.set("a.test", nil, notFound("a.test"))
		f.quiet(10 * time.Minute)
		n := len(b.at)
		if last := b.at[n-1].Sub(b.at[n-2]); last != longestDelay {
			t.Errorf("the longest wait is %v", last)
		}
		b.set("a.test", addrs("192.0.2.1"), nil)
		f.want(p, "192.0.2.1:1")
		f.quiet(time.Hour)
		if got := f.Failures(); len(got) > 0 {
			t.Errorf("failures: %v", got)
		}
		if asked := len(b.at); asked != n+1 {
			t.Errorf("asked %d times more", asked-n)
		}
		if lines := strings.Split(strings.TrimSpace(f.log.String()), "\n"); len(lines) != 3 ||
			!strings.Contains(lines[0], "timeout") || !strings.Contains(lines[1], "no such host") || !strings.Contains(lines[2], "resolves now") {
			t.Errorf("logged, which is to be a line for each change:\n%s", &f.log)
		}
	})
}

func TestWake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", nil, errTimeout)
		b.set("b.test", addrs("192.0.2.2"), nil)
		p := at(1, "a.test 1")
		f := start(t, b, "", p, at(2, "b.test 1"))
		defer f.stop()
		f.want(at(2), "192.0.2.2:1")
		f.quiet(time.Hour + 3*time.Second)
		b.set("a.test", addrs("192.0.2.1"), nil)
		begin := time.Now()
		f.Wake()
		f.Wake()
		f.want(p, "192.0.2.1:1")
		if waited := time.Since(begin); waited > firstDelay {
			t.Errorf("asked %v after the network was there", waited)
		}
		if b.times("b.test") != 1 {
			t.Errorf("what resolves is asked for again")
		}
	})
}

// TestRetry is a peer that has moved, as with dynamic DNS, and one that hasn't.
func TestRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1"), nil)
		p := at(1, "a.test 1")
		f := start(t, b, "", p)
		defer f.stop()
		f.want(p, "192.0.2.1:1")
		f.quiet(time.Hour)
		f.Retry(p.Key)
		f.want(p, "192.0.2.1:1") // also when it is the same
		b.set("a.test", addrs("192.0.2.2"), nil)
		f.Retry(p.Key)
		f.want(p, "192.0.2.2:1")

		before := b.times("a.test")
		for range 600 {
			f.Retry(p.Key)
			f.drain(100 * time.Millisecond)
		}
		many := b.times("a.test") - before
		if many < 3 || many > 15 {
			t.Errorf("a minute of stalled handshakes: asked %d times", many)
		}
		f.drain(time.Hour)
		f.Worked(p.Key, netip.MustParseAddrPort("192.0.2.2:1"))
		begin := time.Now()
		f.Retry(p.Key)
		f.want(p, "192.0.2.2:1")
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("after it worked, the next question waits %v", waited)
		}
		f.Retry(at(7).Key) // nobody
		f.Worked(at(7).Key, netip.MustParseAddrPort("192.0.2.2:1"))
	})
}

// TestRetryUnanswered keeps what was known while there is no answer.
func TestRetryUnanswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1"), nil)
		p := at(1, "a.test 1")
		f := start(t, b, "", p)
		defer f.stop()
		f.want(p, "192.0.2.1:1")
		b.set("a.test", nil, errors.New("out of luck"))
		f.Retry(p.Key)
		f.quiet(time.Hour)
		if got := fmt.Sprint(f.Known(p.Key)); got != "[192.0.2.1:1]" {
			t.Errorf("known: %s", got)
		}
		b.set("a.test", addrs("192.0.2.1"), nil)
		f.want(p, "192.0.2.1:1")
	})
}

func TestSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1"), nil)
		b.set("b.test", addrs("192.0.2.2"), nil)
		b.set("c.test", nil, errTimeout)
		one, two := at(1, "a.test 1"), at(2, "c.test 1")
		f := start(t, b, "", one, two)
		defer f.stop()
		f.want(one, "192.0.2.1:1")
		f.quiet(time.Hour)
		asked := b.times("c.test")

		two = at(2, "a.test 2", "b.test 2")
		f.Set([]Peer{one, two})
		f.want(two, "192.0.2.1:2", "192.0.2.2:2")
		f.quiet(time.Hour)
		if got := b.times("a.test"); got != 1 {
			t.Errorf("a name that stays is asked for %d times", got)
		}
		if got := b.times("c.test"); got > asked+1 {
			t.Errorf("a name that is gone is asked for %d times more", got-asked)
		}
		f.Set(nil)
		f.Retry(one.Key)
		f.quiet(time.Hour)
		if got := f.Known(one.Key); got != nil {
			t.Errorf("known of a peer that is gone: %v", got)
		}
		f.Set([]Peer{one})
		f.want(one, "192.0.2.1:1")
	})
}

// TestNewerReplaces is a receiver that is slow.
func TestNewerReplaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1"), nil)
		b.set("b.test", addrs("192.0.2.100"), nil)
		one, two := at(1, "a.test 1"), at(2, "b.test 1")
		f := start(t, b, "", one, two)
		defer f.stop()
		f.want(one, "192.0.2.1:1")
		f.want(two, "192.0.2.100:1")
		f.Retry(one.Key)
		<-time.After(time.Second) // it is on its way now
		for i := range 5 {
			b.set("b.test", addrs(fmt.Sprintf("192.0.2.%d", 101+i)), nil)
			f.Worked(two.Key, netip.MustParseAddrPort("192.0.2.1:1"))
			<-time.After(time.Minute)
			f.Retry(two.Key)
			synctest.Wait()
		}
		f.want(one, "192.0.2.1:1")
		f.want(two, "192.0.2.105:1")
		f.quiet(time.Hour)
	})
}

func TestCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wg9", "addresses")
	p := at(1, "a.test 1")
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1", "192.0.2.2"), nil)
		f := start(t, b, path, p, at(2, "b.test 1"))
		f.want(p, "192.0.2.1:1", "192.0.2.2:1")
		f.Worked(p.Key, netip.MustParseAddrPort("192.0.2.2:1"))
		f.stop()
	})
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", fi, err)
	}
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", fi, err)
	}
	bubble(t, func(t *testing.T) { // no resolver at boot, then one that lies, then none again
		b := &book{takes: 5 * time.Second}
		b.set("a.test", nil, errTimeout)
		f := start(t, b, path, p)
		if got := fmt.Sprint(f.Known(p.Key)); got != "[192.0.2.2:1 192.0.2.1:1]" {
			t.Errorf("known at once: %s", got)
		}
		begin := time.Now()
		f.want(p, "192.0.2.2:1", "192.0.2.1:1")
		if waited := time.Since(begin); waited > grace {
			t.Errorf("waited %v for what is in the file", waited)
		}
		b.set("a.test", addrs("198.51.100.1"), nil)
		f.want(p, "198.51.100.1:1")
		<-time.After(time.Minute) // saved meanwhile, too
		f.stop()
	})
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", nil, errTimeout)
		f := start(t, b, path, p)
		f.want(p, "192.0.2.2:1", "198.51.100.1:1")
		f.stop()
	})
}

// TestCacheLosesToAnswer has an answer in time: the cached address is not used.
func TestCacheLosesToAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "addresses")
	if err := saveCache(path, map[string]cached{"a.test": {Addresses: addrs("192.0.2.1")}}); err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T) {
		b := &book{takes: grace / 2}
		b.set("a.test", addrs("192.0.2.2"), nil)
		p := at(1, "a.test 1")
		f := start(t, b, path, p)
		f.want(p, "192.0.2.2:1")
		f.quiet(time.Hour)
		f.stop()
	})
}

// TestBadCache reads files that nobody has written so, and writes where that is
// impossible: names are looked up all the same, and it is logged once.
func TestBadCache(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int{
		"":                             1,
		"{":                            1,
		"\x00\xff":                     1,
		`{"a.test": {"addresses": 7}}`: 1,
		`{"a.test": {"addresses": ["nonsense"]}}`:               1,
		`{"a.test": {"addresses": ["", "192.0.2.1"]}}`:          0,
		`{"a.test": null}`:                                      0,
		`{"b.test": {"addresses": []}}`:                         0,
		"{\"" + strings.Repeat("x", maxCacheSize) + "\": null}": 1,
	} {
		path := filepath.Join(dir, "addresses")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		bubble(t, func(t *testing.T) {
			b := &book{}
			b.set("a.test", addrs("192.0.2.1"), nil)
			p := at(1, "a.test 1")
			f := start(t, b, path, p)
			f.want(p, "192.0.2.1:1")
			f.stop()
			if got := strings.Count(f.log.String(), "level=WARN"); got != want {
				t.Errorf("%.40q: %d lines logged:\n%s", text, got, &f.log)
			}
		})
		if entries, err := readCache(path); err != nil || !slices.Equal(entries["a.test"].Addresses, addrs("192.0.2.1")) {
			t.Errorf("%.40q: afterwards %v, %v", text, entries, err)
		}
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bubble(t, func(t *testing.T) {
		b := &book{}
		b.set("a.test", addrs("192.0.2.1"), nil)
		p := at(1, "a.test 1")
		f := start(t, b, filepath.Join(blocked, "addresses"), p)
		f.want(p, "192.0.2.1:1")
		for i := range 5 {
			b.set("a.test", addrs(fmt.Sprintf("192.0.2.%d", 2+i)), nil)
			f.Retry(p.Key)
			f.want(p, fmt.Sprintf("192.0.2.%d:1", 2+i))
			f.quiet(time.Minute)
		}
		f.stop()
		if got := strings.Count(f.log.String(), "can't be saved"); got != 1 {
			t.Errorf("%d lines:\n%s", got, &f.log)
		}
	})
}

// TestLateServer is the real thing: no server listens at first, then one doesn't
// know the name, then it does.
func TestLateServer(t *testing.T) {
	gone := listen(t, "127.0.0.1:0", nil)
	gone.udp.Close()
	gone.tcp.Close()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	p := at(1, "a.test 1")
	s := Start(ctx, Config{Lookup: asking(gone).Lookup, Log: slog.New(slog.NewTextHandler(&log, nil))}, []Peer{p})
	until := func(what string) {
		t.Helper()
		for deadline := time.After(30 * time.Second); ; {
			if f := s.Failures(); len(f) > 0 && strings.Contains(f[0].Err.Error(), what) {
				return
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				t.Fatalf("no failure for %q: %v", what, s.Failures())
			}
		}
	}
	until("refused")
	late := listen(t, gone.addr.String(), map[string]behaviour{})
	until("no such host")
	late.set("a.test.", behaviour{addrs: addrs("127.0.0.7")})
	s.Wake()
	if r := <-s.Results(); fmt.Sprint(r.Candidates) != "[127.0.0.7:1]" {
		t.Errorf("%v", r)
	}
	cancel()
	if r, ok := <-s.Results(); ok {
		t.Errorf("%v after the end", r)
	}
	if got := strings.Count(log.String(), "\n"); got != 3 {
		t.Errorf("%d lines:\n%s", got, &log)
	}
}

func TestPeers(t *testing.T) {
	one, two, three := key.Public{1}.String(), key.Public{2}.String(), key.Public{3}.String()
	c, _, err := conf.Parse("wg0.conf", []byte(strings.NewReplacer("ONE", one, "TWO", two, "THREE", three).Replace(`
[Peer]
PublicKey = ONE
Endpoint = a.test:1
#vpn: Endpoint = b.test:2
[Peer]
PublicKey = TWO
[Peer]
PublicKey = THREE
#vpn: Endpoint = c.test:3
[Peer]
PublicKey = ONE
Endpoint = [2001:db8::1]:4
#vpn: Endpoint = d.test:5
`)), conf.WGQuick)
	if err != nil {
		t.Fatal(err)
	}
	want := []Peer{at(1, "2001:db8::1 4", "b.test 2", "d.test 5"), at(3, "c.test 3")}
	if got := Peers(c); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	many := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8")
	p := at(1, "a.test 1", "b.test 2", "c.test 3")
	got := candidates(p.Endpoints, func(host string) []netip.Addr {
		return many[:map[string]int{"a.test": 8, "b.test": 1, "c.test": 8}[host]]
	})
	if want := "[192.0.2.1:1 192.0.2.1:2 192.0.2.1:3 192.0.2.2:1 192.0.2.2:3 192.0.2.3:1 192.0.2.3:3 192.0.2.4:1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
}
