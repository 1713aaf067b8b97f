//go:build linux

package webtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/report"
	"vpn/cmd/internal/testnet"
	"vpn/noise/key"
)

const crowdSize = 10000

// crowd tells of an interface with many peers, all of which talk all the time, and have new sessions every two minutes.
type crowd struct {
	name  string
	began time.Time
	keys  []key.Public
}

func newCrowd(name string) *crowd {
	c := &crowd{name: name, began: time.Now().Add(-time.Hour)}
	for n := range crowdSize {
		k := key.Public{31: 1}
		binary.BigEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
		c.keys = append(c.keys, k)
	}
	return c
}

func (c *crowd) Status(_ context.Context, q report.Query, tell func(*report.Line) error) error {
	now := time.Now()
	err := tell(&report.Line{Interface: &report.Interface{
		Name: c.name, Now: now, Engine: report.EngineVPN, Since: c.began, PublicKey: c.keys[0], ListenPort: 51820, LinkUp: true, Listening: true,
		PeerCount: crowdSize, Drops: []report.Drop{{Reason: "no_peer", Count: 81234, Last: now}, {Reason: "bad_mac1", Count: 12, Last: c.began}},
	}})
	asked := map[key.Public]bool{}
	for _, k := range q.Peers {
		asked[k] = true
	}
	for n, k := range c.keys {
		if err != nil || len(asked) > 0 && !asked[k] || q.Which == report.None {
			continue
		}
		err = tell(&report.Line{Peer: c.peer(n, now, q.Events)})
	}
	return err
}

const life = 2 * time.Minute

func (c *crowd) peer(n int, now time.Time, events int) *report.Peer {
	age := now.Sub(c.began)
	p := &report.Peer{
		PublicKey: c.keys[n], Name: fmt.Sprintf("peer %05d", n), Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 51820),
		EndpointFrom: report.OriginRoamed, AllowedIPs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)}), 32)},
		RxBytes: uint64(age.Seconds() * float64(n)), TxBytes: uint64(age.Seconds() * float64(n%100)),
		Drops: []report.Drop{{Reason: "replayed_counter", Count: uint64(n), Last: now}},
	}
	shifted := age + time.Duration(n)*life/crowdSize // they don't all shake hands at once
	last := int64(shifted / life)
	for back, place := range []string{report.PlaceCurrent, report.PlacePrevious} {
		number := last - int64(back)
		born := c.began.Add(time.Duration(number)*life - time.Duration(n)*life/crowdSize)
		if age := now.Sub(born); age >= 3*time.Minute {
			continue
		}
		p.Sessions = append(p.Sessions, report.Session{
			Name: fmt.Sprintf("s%05d-%d", n, number), Place: place, Role: "initiator", Confirmed: true, Born: born, Expires: born.Add(3 * time.Minute), ReplacedAt: born.Add(life),
		})
	}
	p.LatestHandshake = p.Sessions[0].Born
	for back := range events {
		number := last - int64(events-1-back)/2
		e := report.Event{Kind: "session_started", Time: c.began.Add(time.Duration(number) * life), Session: fmt.Sprintf("s%05d-%d", n, number), Role: "initiator"}
		if back%2 == 1 {
			e.Kind, e.Why, e.Session = "session_ended", "replaced", fmt.Sprintf("s%05d-%d", n, number-2)
		}
		p.Events = append(p.Events, e)
	}
	return p
}

func (*crowd) Events(ctx context.Context, _ report.Query, _ func(*report.Line) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestMany looks at 10,000 peers that all talk, through a real control socket: what is shown stays small, in the browser and in `vpn web`.
func TestMany(t *testing.T) {
	h := testnet.NewHost(t, "gateway")
	name := testnet.NewLinkName()
	l, err := control.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Remove(name) })
	s := control.Serve(l, http.NewServeMux(), newCrowd(name), slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	web, address := serve(t, h, name)
	browse(t, h, "many", address, "what passes now", "the last of them", "one of them", "all of them", "stays small", "fit for everybody")
	kilobytes := func(field string) int {
		n, err := strconv.Atoi(strings.TrimSuffix(testnet.Status(web.PID(), field), " kB"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	anonymous, all := kilobytes("RssAnon"), kilobytes("VmHWM")
	t.Logf("vpn web takes %d kB, and took %d kB at most with the program itself", anonymous, all)
	if anonymous > 50<<10 {
		t.Errorf("vpn web takes %d kB of memory", anonymous)
	}
}
