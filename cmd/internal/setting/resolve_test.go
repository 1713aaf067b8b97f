package setting

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vpn/conf"
)

var (
	errTemporary = &net.DNSError{Err: "server misbehaving", Name: "example.com", IsTemporary: true}
	errNoName    = &net.DNSError{Err: "no such host", Name: "example.com", IsNotFound: true}
)

// script is a resolver whose answers are given, and which notes what it waits.
func script(t *testing.T, retries int, answers ...any) (*Resolver, *[]time.Duration) {
	waits := new([]time.Duration)
	return &Resolver{
		Retries: retries,
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host != "example.com" || len(answers) == 0 {
				t.Fatalf("asked for %q with %d answers left", host, len(answers))
			}
			answer := answers[0]
			answers = answers[1:]
			if err, failed := answer.(error); failed {
				return nil, err
			}
			return answer.([]netip.Addr), nil
		},
		Wait: func(ctx context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			return ctx.Err()
		},
		Notify: func(conf.Endpoint, error, time.Duration) {},
	}, waits
}

var example = conf.Endpoint{Host: "example.com", Port: 51820}

func TestResolve(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	const ok = "192.0.2.1:51820"
	seconds := func(s ...float64) (ds []time.Duration) {
		for _, s := range s {
			ds = append(ds, time.Duration(s*float64(time.Second)))
		}
		return ds
	}
	for _, test := range []struct {
		name    string
		retries int
		answers []any
		want    string // an address, or a part of the error
		waits   []time.Duration
	}{
		{"at once", 0, []any{addrs}, ok, nil},
		{"no such name", 5, []any{errNoName}, `"example.com:51820": no such host`, nil},
		{"third time", 5, []any{errTemporary, errTemporary, addrs}, ok, seconds(1, 1.2)},
		{"gives up", 3, []any{errTemporary, errTemporary, errTemporary, errTemporary}, "server misbehaving", seconds(1, 1.2, 1.44)},
		{"no retries", 0, []any{errTemporary}, "server misbehaving", nil},
		{"then no such name", 5, []any{errTemporary, errNoName}, "no such host", seconds(1)},
		{"no address", 0, []any{[]netip.Addr{}}, "it has no address", nil},
		{"other error", 0, []any{errors.New("out of luck")}, "out of luck", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, waits := script(t, test.retries, test.answers...)
			got, err := r.Resolve(t.Context(), example)
			if err == nil && got.String() != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if !slices.Equal(*waits, test.waits) {
				t.Errorf("waits %v, want %v", *waits, test.waits)
			}
		})
	}
}

func TestResolveForEver(t *testing.T) {
	answers := slices.Repeat([]any{errTemporary}, 100)
	r, waits := script(t, -1, append(answers, []netip.Addr{netip.MustParseAddr("192.0.2.1")})...)
	if _, err := r.Resolve(t.Context(), example); err != nil {
		t.Fatal(err)
	}
	if longest := slices.Max(*waits); len(*waits) != 100 || longest != 20*time.Second {
		t.Errorf("%d waits, the longest %v", len(*waits), longest)
	}
}

func TestResolveEnds(t *testing.T) {
	r, _ := script(t, -1, errTemporary)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(ctx, example); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestResolveAsksNobody(t *testing.T) {
	r, _ := script(t, 0)
	for _, host := range []string{"192.0.2.1", "2001:db8::1", "fe80::1%lo"} {
		if got, err := r.Resolve(t.Context(), conf.Endpoint{Host: host, Port: 7}); err != nil || got.Port() != 7 || got.Addr().String() != host {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
}

func TestNewResolver(t *testing.T) {
	for variable, want := range map[string]int{"": 15, "0": 0, "3": 3, "infinity": -1} {
		r, err := NewResolver(variable, nil)
		if err != nil || r.Retries != want {
			t.Errorf("%q: %v, %v", variable, r, err)
		}
	}
	for _, variable := range []string{"-1", "many", "1.5", "99999999999"} {
		if _, err := NewResolver(variable, nil); err == nil {
			t.Errorf("%q is taken", variable)
		}
	}
}
