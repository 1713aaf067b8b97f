//go:build linux

package churntest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

var (
	flagChurn = flag.Duration("churn", 15*time.Second, "how long to churn")
	flagFirst = flag.Uint64("first", 1, "seed of the order in which things happen")
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// An act is one thing that befalls a world.
type act struct {
	name string
	harm harm // who may lose packets meanwhile
	do   func(w *world, s *spoke)
}

type harm int

const (
	nobody   harm = iota // a change under traffic: not one packet is lost
	itself               // the spoke that it befalls
	restless             // the same, where it is one that may be killed and restarted
	all                  // by what befalls the hub
)

var acts = []act{
	{"the hub replaces the allowed IPs of all", nobody, func(w *world, _ *spoke) {
		for _, s := range w.spokes {
			w.hub.Set("public_key="+s.key.Public, "update_only=true", "replace_allowed_ips=true", "allowed_ip=10.9.0.0/24", "allowed_ip="+s.inner+"/32")
			w.hub.Set("public_key="+s.key.Public, "update_only=true", "replace_allowed_ips=true", "allowed_ip="+s.inner+"/32")
		}
	}},
	{"the preshared key changes at both ends", nobody, func(w *world, s *spoke) {
		s.preshared = testnet.NewKey().Private
		w.hub.Set("public_key="+s.key.Public, "update_only=true", "preshared_key="+s.preshared)
		s.configure(w)
	}},
	{"a reload brings other peers, and takes them away again", nobody, func(w *world, s *spoke) {
		for _, n := range []int{2, 20, 0} {
			s.meet(w, n)
		}
	}},
	{"the hub forgets a peer, and knows it again", itself, func(w *world, s *spoke) {
		w.hub.Set("public_key="+s.key.Public, "remove=true")
		w.hub.Set(s.linesForHub()...)
	}},
	{"the outer link goes down and up", itself, func(_ *world, s *spoke) {
		s.outer.Down()
		s.outer.Up()
	}},
	{"the device goes down and up", itself, func(_ *world, s *spoke) {
		s.device.Down()
		s.device.Up()
	}},
	{"it roams", itself, func(_ *world, s *spoke) {
		s.outer.RemoveAddress(s.address())
		s.at = 3 - s.at
		s.outer.Address(s.address())
	}},
	{"the hub's device goes down and up", all, func(w *world, _ *spoke) {
		w.hub.Link.Down()
		w.hub.Link.Up()
	}},
	{"the hub moves to another port and back", all, func(w *world, _ *spoke) {
		w.hub.Set("listen_port=" + otherPort)
		for _, s := range w.spokes {
			s.traffic.back()
		}
		w.hub.Set("listen_port=" + hubPort)
	}},
	{"the engine is killed", restless, func(w *world, s *spoke) {
		s.kill(w, "device")
	}},
	{"a restart in place", restless, func(_ *world, s *spoke) {
		s.host.MustRun(s.vpn, "restart", "wg0")
	}},
	{"down, and up again", restless, func(_ *world, s *spoke) {
		s.host.MustRun(s.vpn, "down", "wg0")
		s.host.MustRun(s.vpn, "up", "wg0")
	}},
}

// TestChurn goes on for as long as it is told to. What it holds is in the package's comment, how flat is judged at [flat].
func TestChurn(t *testing.T) {
	w := newWorld(t, testnet.VPN)
	defer func() { t.Logf("what the processes held between the rounds:\n%s", w.lives.summary()) }()
	random := rand.New(rand.NewPCG(*flagFirst, 0))
	over := time.After(*flagChurn)
	var order []int
	for round := 1; ; round++ {
		select {
		case <-over:
			w.judge()
			t.Logf("%d rounds, %d datagrams; the same order again with -first %d", round-1, w.sent(), *flagFirst)
			return
		default:
		}
		if len(order) == 0 { // every act comes once before any comes again
			order = random.Perm(len(acts))
		}
		a := acts[order[0]]
		order = order[1:]
		handshake := w.steady().lastHandshake(w)
		crowd := w.addCrowd(random.IntN(400))
		for _, s := range w.spokes {
			w.befall(round, a, s)
		}
		testnet.Until(t, "the session was renewed", func() bool { return w.steady().lastHandshake(w) != handshake })
		w.hub.Set(crowd...)
		w.nothingLost(fmt.Sprintf("round %d: %s", round, a.name))
		w.sample()
	}
}

// suffers says whether an act that befalls one spoke, or the hub, may cost another's packets.
func (s *spoke) suffers(a act, befallen *spoke) bool {
	return a.harm == all || a.harm != nobody && s == befallen
}

// befall lets an act befall a spoke, if it is for that one, and waits until all are well again.
func (w *world) befall(round int, a act, s *spoke) {
	w.t.Helper()
	switch {
	case a.harm == all && s != w.steady(): // once is enough
		return
	case a.harm == itself && s == w.steady(), a.harm == restless && !s.restless:
		return
	}
	w.t.Logf("round %d: %s: %s", round, s.host.Name, a.name)
	for _, other := range w.spokes {
		if other.suffers(a, s) {
			other.traffic.excuse()
		}
	}
	a.do(w, s)
	w.settle()
}

// settle waits until packets pass everywhere.
func (w *world) settle() {
	w.t.Helper()
	for _, s := range w.spokes {
		s.traffic.settle()
	}
}

// kill kills a process of a spoke's link.
func (s *spoke) kill(w *world, command string) {
	w.t.Helper()
	pid := s.pid(command)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		w.t.Fatalf("kill vpn %s: %v", command, err)
	}
	testnet.Until(w.t, "there is another engine", func() bool {
		now := s.pid(command)
		return now != 0 && now != pid
	})
}
