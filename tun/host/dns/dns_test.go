package dns

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func TestNameservers(t *testing.T) {
	text := "; nameserver 10.0.0.1\n#nameserver 10.0.0.2\n nameserver 10.0.0.3\nnameserver\tfe80::1%eth0 \nnameserver\nnameserver x\nsearch nameserver\nnameserver 10.0.0.4\r\nnameserver ::1"
	want := []netip.Addr{
		netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("::1"),
	}
	if got := nameservers([]byte(text)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOwner(t *testing.T) {
	s := Settings{Link: "wg0", Servers: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Search: []string{"corp.example"}}
	text := string(s.render([]byte("search x\noptions rotate\nnameserver 10.0.0.9")))
	for _, test := range []struct {
		text  string
		link  string
		clean bool
	}{
		{text, "wg0", true},
		{text + " ", "wg0", false},
		{"\n" + text, "wg0", false},
		{text[1:], "", false},
		{"nameserver 10.0.0.1\n", "", false},
		{"", "", false},
	} {
		if link, clean := (entry{Text: []byte(test.text)}).owner(); link != test.link || clean != test.clean {
			t.Errorf("%q: %q, %v", test.text, link, clean)
		}
	}
}

func TestDomains(t *testing.T) {
	for _, test := range []struct{ search, routes, want []string }{
		{nil, nil, []string{"~."}},
		{[]string{"a.example"}, nil, []string{"a.example", "~."}},
		{[]string{"a.example"}, []string{"b.example", "~c.example"}, []string{"a.example", "~b.example", "~c.example"}},
	} {
		if got := (Settings{Search: test.search, Routes: test.routes}).domains(); !slices.Equal(got, test.want) {
			t.Errorf("%v %v: %v, want %v", test.search, test.routes, got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	s := Settings{Link: "wg0", Servers: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	split := s
	split.Routes = []string{"corp.example"}
	for _, k := range []Kind{Resolved, Resolvconf, File} {
		if err := s.Check(k); err != nil {
			t.Errorf("%s: %v", k, err)
		}
		if err := split.Check(k); (k == Resolved) != (err == nil) || k != Resolved && !errors.Is(err, ErrSplit) {
			t.Errorf("%s: %v", k, err)
		}
		if err := (Settings{Link: "wg0"}).Check(k); err == nil {
			t.Errorf("%s: no servers are no error", k)
		}
	}
}
