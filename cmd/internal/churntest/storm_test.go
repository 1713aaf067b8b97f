//go:build linux

package churntest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"

	"golang.org/x/net/ipv4"
)

var flagStorm = flag.Int("storm", 1000, "how many peers shake hands at once, of ten times as many")

const (
	crowdPrefix = "100.64.0.0/10"
	crowdAtHub  = "192.168.9.254"
)

// A caller is a peer without an engine, at an address of its own.
type caller struct {
	from      netip.Addr
	local     *noise.Local
	remote    *noise.Remote
	cookies   *cookie.Generator
	handshake *noise.Initiator
	message   wire.Initiation
	in        bool
}

func newCaller(hub key.Public, i int) (*caller, error) {
	private, err := key.NewPrivate(rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &caller{from: crowdAddress(i), local: noise.NewLocal(&private), remote: noise.NewRemote(hub), cookies: cookie.NewGenerator(hub)}
	return c, c.begin(uint32(i))
}

// crowdAddress is one of the crowd's four million addresses, over and over.
func crowdAddress(i int) netip.Addr {
	crowd := netip.MustParsePrefix(crowdPrefix)
	a := crowd.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|uint32(i)<<crowd.Bits()>>crowd.Bits())
	return netip.AddrFrom4(a)
}

// begin begins a handshake. The one before it was not answered, or the answer was lost.
func (c *caller) begin(index uint32) (err error) {
	c.handshake, err = noise.Initiate(c.local, c.remote, index, noise.Stamp(time.Now()), rand.Reader, &c.message)
	return err
}

// TestStorm is the hour after a power cut: one in ten of a hub's many peers shakes hands with it, all at the same moment, each from an
// address of its own, and those that were told to bring a cookie do so. All are answered, and a peer that is in loses nothing.
func TestStorm(t *testing.T) {
	w := newWorld(t, testnet.VPN)
	_, packets := w.addCrowdHost()
	callers := newCallers(t, w.hub.Key.Public, *flagStorm)
	configure(w.hub, callers, 10**flagStorm)
	w.settle()
	begin := time.Now()
	in := 0
	for round := 1; in < len(callers); round++ {
		if time.Since(begin) > 4*testnet.Patience {
			t.Fatalf("%d of %d are in after %d rounds", in, len(callers), round-1)
		}
		for i, c := range callers {
			if c.in {
				continue
			}
			if round > 1 {
				if err := c.begin(uint32(i + round*len(callers))); err != nil {
					t.Fatal(err)
				}
			}
			c.cookies.AddMACs(c.message[:], time.Since(begin))
			if _, err := packets.WriteTo(c.message[:], &ipv4.ControlMessage{Src: c.from.AsSlice()}, hubForCrowd); err != nil {
				t.Fatal(err)
			}
		}
		in += hear(t, packets, callers, begin)
		t.Logf("round %d: %d of %d are in", round, in, len(callers))
	}
	w.onlyTheKernelLost()
}

// newCallers makes callers and their initiations, on all processors.
func newCallers(t *testing.T, hub string, n int) []*caller {
	t.Helper()
	public, err := hex.DecodeString(hub)
	if err != nil {
		t.Fatal(err)
	}
	callers := make([]*caller, n)
	var all sync.WaitGroup
	lanes := runtime.GOMAXPROCS(0)
	errs := make([]error, lanes)
	for lane := range lanes {
		all.Go(func() {
			for i := lane; i < n && errs[lane] == nil; i += lanes {
				callers[i], errs[lane] = newCaller(key.Public(public), i)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return callers
}

// configure makes the callers peers of the hub, and many more that are silent.
func configure(hub *testnet.Daemon, callers []*caller, n int) {
	lines := make([]string, 0, 2*n)
	for i := range n {
		var public [key.Size]byte
		_, _ = rand.Read(public[:]) // never fails
		name := hex.EncodeToString(public[:])
		if i < len(callers) {
			name = callers[i].local.Public().Hex()
		}
		lines = append(lines, "public_key="+name, fmt.Sprintf("allowed_ip=11.%d.%d.%d/32", i>>16, i>>8&255, i&255))
	}
	hub.Set(lines...)
}

// hubForCrowd is where the crowd finds the hub.
var hubForCrowd = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(crowdAtHub + ":" + hubPort))

// addCrowdHost makes a host that has all addresses of the crowd, and a socket that speaks for all of them.
func (w *world) addCrowdHost() (crowd *testnet.Host, packets *ipv4.PacketConn) {
	w.t.Helper()
	crowd = testnet.NewHost(w.t, "crowd")
	atHub, out := testnet.Connect(w.hub.Host, crowd, 0)
	atHub.Address(crowdAtHub + "/24")
	out.Address("192.168.9.1/24")
	atHub.Route(crowdPrefix, "192.168.9.1", 0)
	crowd.MustRun("ip", "route", "add", "local", crowdPrefix, "dev", "lo")
	crowd.MustPing(crowdAtHub)
	conn := crowd.ListenUDP("0.0.0.0:51820")
	_ = conn.SetReadBuffer(8 << 20) // it is enlarged as far as it goes
	return crowd, ipv4.NewPacketConn(conn)
}

// onlyTheKernelLost fails if more datagrams are lost than did not fit into the hub's receive buffer, by the kernel's own count: what the
// program has read, it has delivered.
func (w *world) onlyTheKernelLost() {
	w.t.Helper()
	patience, end := context.WithTimeout(w.t.Context(), testnet.Patience/3)
	defer end()
	lost := 0
	for _, s := range w.spokes {
		lost += s.traffic.lost(patience.Done())
	}
	overflow := w.hub.Host.MustRun("awk", "/^Udp: [0-9]/ { print $6 }", "/proc/net/snmp")
	most, err := strconv.Atoi(strings.TrimSpace(overflow))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("%d datagrams of the established lost, %d of all not taken by the kernel", lost, most)
	if lost > most {
		w.t.Errorf("%d datagrams were lost for no reason", lost-most)
	}
}

// hear takes the hub's answers until none comes for a while, and returns how many have ended a handshake.
func hear(t *testing.T, packets *ipv4.PacketConn, callers []*caller, begin time.Time) (in int) {
	t.Helper()
	b := make([]byte, 1<<11)
	for {
		if err := packets.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, _, _, err := packets.ReadFrom(b)
		if os.IsTimeout(err) {
			return in
		}
		if err != nil {
			t.Fatal(err)
		}
		switch kind, _ := wire.Classify(b[:n]); kind {
		case wire.TypeCookieReply:
			m := wire.AsCookieReply(b[:n])
			callers[int(m.Receiver())%len(callers)].cookies.Consume(m, time.Since(begin)) // one to a message that was sent again is too late
		case wire.TypeResponse:
			m := wire.AsResponse(b[:n])
			c := callers[int(m.Receiver())%len(callers)]
			if c.in || c.handshake.SenderIndex() != m.Receiver() {
				continue // to a handshake that was given up
			}
			session, err := c.handshake.Finish(c.local, c.remote, m)
			if err != nil {
				t.Fatalf("%v: %v", c.from, err)
			}
			session.Erase()
			c.in = true
			in++
		}
	}
}
