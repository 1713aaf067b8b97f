//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// benches are the measurements, in the order of the report.
var benches = []struct {
	name string
	most int // rounds, 0 if as many as are asked for
	run  func(tb testnet.TB, s *settings, kind testnet.Kind, r *report)
}{
	{"tcp", 0, benchTCP},
	{"rtt", 0, benchRTT},
	{"udp", 0, benchUDP},
	{"handshakes", 0, benchHandshakes},
	{"flood", 0, benchFlood},
	{"peers", 3, benchPeers},
	{"start", 0, benchStart},
	{"up", 0, benchUp},
}

// trialLimit is the longest that one measurement of one daemon may take. All
// that waits has limits of its own; this is for what nobody thought of.
const trialLimit = 10 * time.Minute

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	// "go run" is our parent. What ends it alone is to end us.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0) // without it only that is lost
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	go func() { giveUp(fmt.Errorf("%v", <-stop)) }()
	if err := s.measure(); err != nil {
		giveUp(err)
	}
	testnet.Clean()
}

// ending is held by the first who ends the process.
var ending sync.Mutex

// giveUp ends the process and removes what would outlive it: namespaces and
// daemons end with it.
func giveUp(err error) {
	ending.Lock()
	testnet.Clean()
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// measure does everything that the command line asks for.
func (s *settings) measure() error {
	if err := s.check(); err != nil {
		return err
	}
	r, err := s.run()
	if err != nil {
		return err
	}
	return s.publish(r)
}

// run measures everything that was asked for.
func (s *settings) run() (*report, error) {
	r := newReport(s.daemons)
	r.command = s.command
	for _, kind := range s.daemons {
		err := attempt(func(tb testnet.TB) { r.machine.addVersion(kind, testnet.Binary(tb, kind)) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
	}
	for _, b := range benches {
		if len(s.only) > 0 && !slices.Contains(s.only, b.name) {
			continue
		}
		rounds := s.rounds
		if b.most > 0 {
			rounds = min(rounds, b.most)
		}
		for round := range rounds {
			for _, kind := range s.daemons {
				fmt.Fprintf(os.Stderr, "%s: round %d of %d: %s\n", b.name, round+1, rounds, kind)
				limit := time.AfterFunc(trialLimit, func() {
					giveUp(fmt.Errorf("%s: %s: not done after %v", b.name, kind, trialLimit))
				})
				err := attempt(func(tb testnet.TB) { b.run(tb, s, kind, r) })
				limit.Stop()
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", b.name, kind, err)
				}
			}
		}
	}
	return r, nil
}

// publish writes the report where it is wanted.
func (s *settings) publish(r *report) error {
	if s.svg != "" {
		if err := os.WriteFile(s.svg, r.svg(), 0o644); err != nil {
			return err
		}
	}
	if s.readme {
		if err := r.writeReadme(readmeFile, s.svg); err != nil {
			return err
		}
	}
	if s.json {
		return r.printJSON(os.Stdout)
	}
	return r.printText(os.Stdout)
}
