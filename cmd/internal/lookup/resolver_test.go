package lookup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// asking returns a Resolver of servers, in this order.
func asking(servers ...*server) *Resolver {
	return NewResolver(func(context.Context) (all []netip.AddrPort, err error) {
		for _, s := range servers {
			all = append(all, s.addr)
		}
		return all, nil
	}, 0)
}

// sorted returns addresses in an order of their own: which of them have routes
// depends on the machine.
func sorted(list []netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
}

func TestLookup(t *testing.T) {
	both := addrs("127.0.0.7", "::1")
	many := addrs("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4", "127.0.1.5", "127.0.1.6", "127.0.1.7", "127.0.1.8", "127.0.1.9", "127.0.1.10")
	s := listen(t, "127.0.0.1:0", map[string]behaviour{
		"both.test.":      {addrs: both},
		"long.test.":      {addrs: both, truncate: true},
		"many.test.":      {addrs: many},
		"twice.test.":     {addrs: addrs("127.0.0.7", "127.0.0.7")},
		"noaaaa.test.":    {addrs: addrs("127.0.0.7"), noAAAA: true},
		"nothing.test.":   {},
		"broken.test.":    {rcode: dnsmessage.RCodeServerFailure},
		"refusing.test.":  {rcode: dnsmessage.RCodeRefused},
		"malformed.test.": {rcode: dnsmessage.RCodeFormatError},
	})
	r := asking(s)
	for host, want := range map[string][]netip.Addr{
		"both.test":   both,
		"both.test.":  both,
		"long.test":   both,
		"twice.test":  addrs("127.0.0.7"),
		"noaaaa.test": addrs("127.0.0.7"),
	} {
		got, err := r.Lookup(t.Context(), host)
		if err != nil || !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("%s: %v, %v, want %v", host, got, err, want)
		}
	}
	if s.count("long.test. tcp") == 0 {
		t.Error("a truncated answer is not asked for again by TCP")
	}
	if got, err := r.Lookup(t.Context(), "many.test"); err != nil || !slices.Equal(got, many[:maxAddrs]) {
		t.Errorf("many addresses: %v, %v", got, err)
	}
	for host, exists := range map[string]bool{"missing.test": false, "nothing.test": false, "broken.test": true, "refusing.test": true, "malformed.test": true} {
		got, err := r.Lookup(t.Context(), host)
		if err == nil || NoSuchName(err) == exists {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
}

func TestNextServer(t *testing.T) {
	want := addrs("127.0.0.7")
	good := func() *server { return listen(t, "127.0.0.1:0", map[string]behaviour{"a.test.": {addrs: want}}) }
	for what, bad := range map[string]behaviour{
		"silent":   {silent: true},
		"broken":   {rcode: dnsmessage.RCodeServerFailure},
		"refusing": {rcode: dnsmessage.RCodeRefused},
	} {
		first, second := listen(t, "127.0.0.1:0", map[string]behaviour{"a.test.": bad}), good()
		got, err := asking(first, second).Lookup(t.Context(), "a.test")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
		if first.count("a.test. udp") == 0 {
			t.Errorf("%s: the first server is not asked", what)
		}
	}
	// What does not exist for the first server does not exist.
	first, second := listen(t, "127.0.0.1:0", map[string]behaviour{}), good()
	if got, err := asking(first, second).Lookup(t.Context(), "a.test"); !NoSuchName(err) || second.count("a.test. udp") > 0 {
		t.Errorf("the first says no: %v, %v, %d questions for the second", got, err, second.count("a.test. udp"))
	}
}

func TestNobodyToAsk(t *testing.T) {
	_, err := asking().Lookup(t.Context(), "a.test")
	if err == nil || NoSuchName(err) || !strings.Contains(Reason(err).Error(), errNoServer.Error()) {
		t.Errorf("no servers: %v", err)
	}
	failing := errors.New("out of luck")
	r := NewResolver(func(context.Context) ([]netip.AddrPort, error) { return nil, failing }, 0)
	if _, err := r.Lookup(t.Context(), "a.test"); !errors.Is(err, failing) {
		t.Errorf("servers that can't be told: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := listen(t, "127.0.0.1:0", map[string]behaviour{"a.test.": {silent: true}})
	cancel()
	if got, err := asking(s).Lookup(ctx, "a.test"); err == nil {
		t.Errorf("after the end: %v", got)
	}
}

func TestJoin(t *testing.T) {
	four, six := addrs("192.0.2.1"), addrs("2001:db8::1")
	missing := answer{err: notFound("a.test")}
	broken := answer{err: errors.New("broken")}
	for _, test := range []struct {
		a, b  answer
		addrs int
		err   error
	}{
		{answer{addrs: four}, answer{addrs: six}, 2, nil},
		{answer{addrs: four}, missing, 1, nil},
		{broken, answer{addrs: six}, 1, nil},
		{missing, broken, 0, broken.err},
		{broken, missing, 0, broken.err},
		{missing, missing, 0, missing.err},
	} {
		got := answer{}.join(test.a).join(test.b)
		if len(got.addrs) != test.addrs || got.err != test.err {
			t.Errorf("%v and %v: %v", test.a, test.b, got)
		}
	}
}
