package setting

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vpn/cmd/internal/uapitest"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// A small world, so that peers, prefixes and values meet often.
var (
	worldPeers    = []byte{1, 2, 3, 4}
	worldPrefixes = []string{"10.0.0.0/8", "10.1.0.0/16", "::/0", "192.0.2.1/32", "fd00::/8"}
)

func publicKey(n byte) (p key.Public) { p[0] = n; return p }

func preshared(t *rapid.T, n byte) *key.Preshared {
	k, err := key.PresharedFromBytes(append(make([]byte, 31), n))
	if err != nil {
		t.Fatal(err)
	}
	return &k
}

// maybe draws a value or nil.
func maybe[T any](t *rapid.T, label string, values ...T) *T {
	if !rapid.Bool().Draw(t, label+"?") {
		return nil
	}
	v := rapid.SampledFrom(values).Draw(t, label)
	return &v
}

func drawPeer(t *rapid.T, incremental bool) uapi.PeerConfig {
	p := uapi.PeerConfig{
		PublicKey:         publicKey(rapid.SampledFrom(worldPeers).Draw(t, "peer")),
		ReplaceAllowedIPs: !incremental,
		Keepalive:         maybe[uint16](t, "keepalive", 0, 25),
	}
	if n := maybe[byte](t, "preshared", 0, 1, 2); n != nil {
		p.Preshared = preshared(t, *n)
	}
	if e := maybe(t, "endpoint", "192.0.2.1:1", "[2001:db8::1]:2"); e != nil {
		p.Endpoint = netip.MustParseAddrPort(*e)
	}
	for _, s := range rapid.SliceOfN(rapid.SampledFrom(worldPrefixes), 0, 4).Draw(t, "prefixes") {
		a := uapi.AllowedIP{Prefix: netip.MustParsePrefix(s)}
		a.Remove = incremental && rapid.Bool().Draw(t, "remove")
		p.AllowedIPs = append(p.AllowedIPs, a)
	}
	return p
}

func drawConfig(t *rapid.T, mayBeIncremental bool) *uapi.Config {
	c := &uapi.Config{
		ListenPort:        maybe[uint16](t, "port", 0, 51820, 51821),
		FwMark:            maybe[uint32](t, "mark", 0, 7),
		RekeyAfterTime:    maybe(t, "time", 0, time.Minute),
		RekeyAfterPackets: maybe[uint64](t, "packets", 0, 1000),
	}
	if n := maybe[byte](t, "private", 0, 1, 2); n != nil {
		k, err := key.PrivateFromBytes(append(make([]byte, 31), *n))
		if err != nil {
			t.Fatal(err)
		}
		c.PrivateKey = &k
	}
	for range rapid.IntRange(0, 5).Draw(t, "peers") {
		c.Peers = append(c.Peers, drawPeer(t, mayBeIncremental && rapid.Bool().Draw(t, "incremental")))
	}
	return c
}

// state is an interface's in a form that compares. Endpoints that were not
// wanted don't count.
type state struct {
	private, port, mark, limits string
	peers                       map[key.Public]string
	owners                      map[netip.Prefix]key.Public
}

func stateOf(i *uapitest.Interface, endpoints map[key.Public]bool) state {
	d, peers := i.Get()
	s := state{
		private: d.PrivateKey.Hex(),
		port:    fmt.Sprint(d.ListenPort),
		mark:    fmt.Sprint(d.FwMark),
		limits:  fmt.Sprint(d.RekeyAfterTime, d.RekeyAfterPackets),
		peers:   make(map[key.Public]string),
		owners:  make(map[netip.Prefix]key.Public),
	}
	for p := range peers {
		text := fmt.Sprint(p.Preshared.Hex(), p.Keepalive)
		if endpoints[p.PublicKey] {
			text += fmt.Sprint(p.Endpoint)
		}
		s.peers[p.PublicKey] = text
		for _, prefix := range p.AllowedIPs {
			s.owners[prefix] = p.PublicKey
		}
	}
	return s
}

func (s state) equal(o state) bool {
	return s.private == o.private && s.port == o.port && s.mark == o.mark && s.limits == o.limits &&
		maps.Equal(s.peers, o.peers) && maps.Equal(s.owners, o.owners)
}

func device(i *uapitest.Interface) *uapi.Device {
	d, peers := i.Get()
	d.Peers = slices.Collect(peers)
	return &d
}

// TestSyncIsSetconf checks that a sync leads where a setconf does, changes
// nothing when done again, and leaves no prefix without a peer on the way that
// has one before and after.
func TestSyncIsSetconf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := drawConfig(t, false)
		want := drawConfig(t, false)

		synced, replaced := uapitest.New(uapi.Device{}), uapitest.New(uapi.Device{})
		set(t, synced, start)
		set(t, replaced, start)
		before := stateOf(synced, nil)

		whole := *want
		Whole(&whole, device(replaced))
		if *whole.ListenPort == 0 { // any port: the one that is there
			whole.ListenPort = nil
		}
		set(t, replaced, &whole)
		endpoints := make(map[key.Public]bool)
		for _, p := range want.Peers {
			endpoints[p.PublicKey] = endpoints[p.PublicKey] || p.Endpoint.IsValid()
		}
		goal := stateOf(replaced, endpoints)

		for step := range steps(Sync(device(synced), want)) {
			set(t, synced, step)
			now := stateOf(synced, nil)
			for prefix := range before.owners {
				_, after := goal.owners[prefix]
				if _, has := now.owners[prefix]; after && !has {
					t.Fatalf("%v has no peer meanwhile", prefix)
				}
			}
		}
		if got := stateOf(synced, endpoints); !got.equal(goal) {
			t.Fatalf("sync leads to\n%+v\nsetconf to\n%+v", got, goal)
		}
		if again := Sync(device(synced), want); !Empty(again) {
			t.Fatalf("a second sync changes %+v", again)
		}
	})
}

// TestSyncIncremental checks that sections which change prefixes start from
// those that are there.
func TestSyncIncremental(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := uapitest.New(uapi.Device{})
		set(t, i, drawConfig(t, false))
		added := uapitest.New(*device(i))
		want := drawConfig(t, true)
		set(t, added, want)
		set(t, i, Sync(device(i), want))

		wanted := make(map[key.Public]bool)
		for _, p := range want.Peers {
			wanted[p.PublicKey] = true
		}
		goal := stateOf(added, nil).owners
		maps.DeleteFunc(goal, func(_ netip.Prefix, owner key.Public) bool { return !wanted[owner] })
		if got := stateOf(i, nil).owners; !maps.Equal(got, goal) {
			t.Fatalf("prefixes are %v, not %v", got, goal)
		}
	})
}

// steps takes a request apart into requests about one peer each.
func steps(c *uapi.Config) func(func(*uapi.Config) bool) {
	return func(yield func(*uapi.Config) bool) {
		first := *c
		first.Peers = nil
		if !yield(&first) {
			return
		}
		for _, p := range c.Peers {
			if !yield(&uapi.Config{Peers: []uapi.PeerConfig{p}}) {
				return
			}
		}
	}
}

func set(t *rapid.T, i *uapitest.Interface, c *uapi.Config) {
	if err := i.Set(c); err != nil {
		t.Fatal(err)
	}
}
