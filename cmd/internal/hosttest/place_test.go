//go:build linux

package hosttest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/conf"
	"vpn/tun"
	"vpn/tun/host"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// place is a machine with a link to a neighbour, who is its default router, and
// what there is of tunnels on it.
type place struct {
	*testnet.Host
	t         *testing.T
	neighbour *testnet.Host
	outer     *testnet.Link
	owners    map[string]*owner
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{Host: testnet.NewMachine(t, "machine"), t: t, neighbour: testnet.NewHost(t, "neighbour"), owners: map[string]*owner{}}
	var other *testnet.Link
	p.outer, other = testnet.Connect(p.Host, p.neighbour, 0)
	p.outer.Address("192.0.2.1/24", "2001:db8::1/64")
	other.Address("192.0.2.2/24", "2001:db8::2/64")
	testnet.Until(t, "the kernel has made its routes", func() bool {
		return strings.Contains(p.MustRun("ip", "-6", "route", "show", "table", "local"), "local 2001:db8::1 ")
	})
	p.outer.Route("0.0.0.0/0", "192.0.2.2", 0)
	p.outer.Route("::/0", "2001:db8::2", 0)
	return p
}

// owner holds a link as the keeper does, but without an engine behind it.
type owner struct {
	device tun.Device
	hooks  []string
	mark   uint32
	fail   string // a hook that fails
}

func (o *owner) OpenLink(_ context.Context, name string) (int, error) {
	d, err := tun.Create(name, 0, 1)
	if err != nil {
		return 0, err
	}
	o.device = d
	if err := d.(tun.Native).SetPersistent(true); err != nil {
		return 0, err
	}
	l, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return l.Index, nil
}

func (o *owner) Configure(context.Context) error { return nil }

func (o *owner) SetMark(_ context.Context, mark uint32) error {
	o.mark = mark
	return nil
}

func (o *owner) Hook(_ context.Context, h host.Hook) error {
	o.hooks = append(o.hooks, h.Command)
	if h.Command == o.fail {
		return fmt.Errorf("%s: failed", h.Command)
	}
	return nil
}

// close lets go of the link, as a keeper that is killed does.
func (o *owner) close() {
	if o.device != nil {
		o.device.Close()
		o.device = nil
	}
}

func (p *place) owner(link string) *owner {
	o := p.owners[link]
	if o == nil {
		o = &owner{}
		p.owners[link] = o
		p.t.Cleanup(o.close)
	}
	return o
}

func config(t *testing.T, text string) *conf.Config {
	t.Helper()
	c, _, err := conf.Parse("test.conf", []byte(text), conf.WGQuick)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// key returns the public key of a peer.
func key(n int) string { return fmt.Sprintf("%03dAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", n) }

// section begins a peer's section.
func section(n int) string { return "[Peer]\nPublicKey = " + key(n) + "\n" }

func quiet(host.Action) {}

// journal opens a link's journal, for the length of f.
func (p *place) journal(link string, f func(j *host.Journal)) {
	p.t.Helper()
	p.Do(func() {
		j, err := host.OpenJournal(link)
		if err != nil {
			p.t.Fatal(err)
		}
		defer j.Close()
		f(j)
	})
}

// plan makes a plan for what the host is like now.
func (p *place) plan(link, text string, j *host.Journal) *host.Plan {
	p.t.Helper()
	s := p.read(link, j, endpoints(config(p.t, text))...)
	o := host.Options{Link: link, File: "test.conf", Mark: p.owner(link).mark}
	var plan *host.Plan
	var err error
	if up := j.Up(); up != nil {
		plan, err = host.Reload(config(p.t, text), j, s, o)
	} else {
		plan, err = host.Up(config(p.t, text), s, o)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

// endpoints returns the addresses that a config names.
func endpoints(c *conf.Config) (all []netip.Addr) {
	for i := range c.Peers {
		if a, ok := c.Peers[i].Endpoint.Value.Addr(); ok && c.Peers[i].Endpoint.Given {
			all = append(all, a.Addr())
		}
	}
	return all
}

func (p *place) read(link string, j *host.Journal, toward ...netip.Addr) *host.State {
	p.t.Helper()
	s, err := host.Read(context.Background(), host.Query{Link: link, Journal: j, Mark: p.owner(link).mark, Toward: toward, SSH: host.Everybodys})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *place) look(j *host.Journal) *host.State {
	p.t.Helper()
	s, err := host.Look(j)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// up brings a link up, or to another config.
func (p *place) up(link, text string) {
	p.t.Helper()
	p.journal(link, func(j *host.Journal) {
		plan := p.plan(link, text, j)
		if err := host.Apply(context.Background(), plan, j, p.owner(link), quiet); err != nil {
			p.t.Fatal(err)
		}
		p.owner(link).mark = plan.Mark // as Configure would have set it
		if err := j.MarkUp(host.UpRecord{Mark: plan.Mark, Auto: host.AutomaticMark(config(p.t, text), plan)}, p.look(j)); err != nil {
			p.t.Fatal(err)
		}
	})
}

// down undoes it all; the owner may be dead.
func (p *place) down(link string) {
	p.t.Helper()
	p.journal(link, func(j *host.Journal) {
		if err := host.Undo(context.Background(), j, quiet); err != nil {
			p.t.Error(err)
		}
	})
	p.owner(link).close()
	delete(p.owners, link)
}

// remountReadOnly makes a folder read-only, in the mount namespace of the thread.
func (p *place) remountReadOnly(folder string) {
	p.t.Helper()
	if err := unix.Mount(folder, folder, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		p.t.Fatal(err)
	}
	if err := unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		p.t.Fatal(err)
	}
}

// What differs from one run to the next, and says nothing.
var (
	indexes = regexp.MustCompile(`(?m)^(\d+): `)
	passing = regexp.MustCompile(` tentative| expires \d+sec`)
)

// facts is what the host is like, as iproute2, nft and the kernel tell it.
func (p *place) facts() string {
	p.t.Helper()
	script := `
ip -o addr show | sed 's/valid_lft.*//'
ip -4 route show table all | sort; ip -6 route show table all | sort
ip -4 rule; ip -6 rule
nft list ruleset
cd /proc/sys/net
grep . ipv4/ip_forward ipv6/conf/all/forwarding ipv4/conf/all/src_valid_mark ipv4/conf/all/send_redirects ipv4/conf/all/accept_redirects ipv6/conf/eth0/accept_ra
find /run/vpn /var/lib/vpn -type f 2>/dev/null | grep -v /lock
cat /etc/resolv.conf`
	text := p.MustRun("bash", "-c", script)
	text = without(text, "fe80:") // the kernel's own, which come and go
	text = indexes.ReplaceAllString(text, "")
	return passing.ReplaceAllString(text, "")
}

// without leaves out the lines that say any of some words.
func without(text string, words ...string) string {
	var kept []string
lines:
	for line := range strings.Lines(text) {
		for _, w := range words {
			if strings.Contains(line, w) {
				continue lines
			}
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

func address(s string) netip.Addr { return netip.MustParseAddr(s) }
