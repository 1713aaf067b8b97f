package save

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"vpn/conf"
)

func TestNamesHas(t *testing.T) {
	asked := 0
	n := &names{
		ctx:   t.Context(),
		known: map[string][]netip.Addr{"cached.example": {netip.MustParseAddr("192.0.2.1")}},
		asked: map[string][]netip.Addr{},
		lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			asked++
			if host == "silent.example" {
				return nil, errors.New("no answer")
			}
			return []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}, nil
		},
	}
	for _, c := range []struct {
		host string
		at   string
		want bool
		asks int
	}{
		{"192.0.2.7", "192.0.2.7:1", true, 0},
		{"192.0.2.7", "[::ffff:192.0.2.7]:1", true, 0},
		{"192.0.2.7", "192.0.2.8:1", false, 0},
		{"fe80::1%lo", "[fe80::1%1]:1", true, 0},
		{"Cached.Example.", "192.0.2.1:1", true, 0},
		{"cached.example", "192.0.2.1:2", false, 0}, // another port
		{"cached.example", "192.0.2.2:1", true, 1},  // it has moved, and the peer with it
		{"cached.example", "192.0.2.9:1", false, 0}, // asked already
		{"other.example", "[2001:db8::2]:1", true, 1},
		{"silent.example", "192.0.2.9:1", true, 1}, // nothing says that it moved
		{"silent.example", "192.0.2.8:1", true, 0},
	} {
		asked = 0
		got := n.has(conf.Endpoint{Host: c.host, Port: 1}, netip.MustParseAddrPort(c.at))
		if got != c.want || asked != c.asks {
			t.Errorf("%s at %s: %v, asked %d times", c.host, c.at, got, asked)
		}
	}
}
