//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/testnet"
)

// settings are the command line's wishes, and what follows from them.
type settings struct {
	daemons []testnet.Kind // the last is the one that the others are compared with
	only    []string
	rounds  int
	json    bool
	svg     string // file for the picture, or empty
	readme  bool
	command string // that asked for all this

	seconds time.Duration // of each load
	probe   time.Duration // of each rate that is tried
	peers   []int         // counts of idle peers
	settle  time.Duration // between configuring peers and looking at the memory
	calling [2]int        // peers that shake hands, and how often each
	turns   int           // of a stream with and without a flood
	routes  int           // of peers that a link is brought up with

	callers        *callers // made when first needed
	generatorNoted bool
}

const (
	readmeFile  = "README.md"
	pictureFile = "scripts/bench.svg"
)

func parse(args []string, help io.Writer) (*settings, error) {
	s := &settings{
		command: strings.Join(append([]string{"scripts/bench"}, args...), " "),
		seconds: 5 * time.Second, probe: time.Second,
		peers: []int{20_000, 100_000, 1_000_000}, settle: 10 * time.Second,
		calling: [2]int{2000, 4}, turns: 8, routes: 10_000,
	}
	flags := flag.NewFlagSet("scripts/bench", flag.ContinueOnError)
	flags.SetOutput(help)
	var names []string
	for _, b := range benches {
		names = append(names, b.name)
	}
	daemons := flags.String("daemons", "vpn,wireguard-go", "measure `NAMES`; all are compared with the last")
	only := flags.String("only", "", "measure only `NAMES` of "+strings.Join(names, ","))
	quick := flags.Bool("quick", false, "one short round, to see that it works")
	flags.IntVar(&s.rounds, "rounds", 5, "measure each `N` times, in turn")
	flags.BoolVar(&s.json, "json", false, "print JSON, with each value measured")
	flags.StringVar(&s.svg, "svg", "", "draw a picture into `FILE`, relative to the repository")
	flags.BoolVar(&s.readme, "readme", false, "write the table into "+readmeFile+", and its picture into "+pictureFile)
	var others []testnet.Kind
	flags.Func("peer", "measure another program too: `NAME=COMMAND`, with %i for the device's name", func(value string) error {
		name, command, ok := strings.Cut(value, "=")
		if !ok || name == "" || !strings.Contains(command, "%i") {
			return fmt.Errorf("%q is not name=command with %%i in it", value)
		}
		others = append(others, testnet.AddKind(name, strings.Fields(command)))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		s.shorten()
	}
	for name := range strings.SplitSeq(*daemons, ",") {
		s.daemons = append(s.daemons, testnet.Kind(name))
	}
	s.daemons = slices.Insert(s.daemons, len(s.daemons)-1, others...)
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	if s.readme && s.svg == "" {
		s.svg = pictureFile
	}
	err := s.sensible(flags.Args(), names)
	if err != nil {
		fmt.Fprintln(help, "bench:", err)
	}
	return s, err
}

// shorten is --quick.
func (s *settings) shorten() {
	s.rounds, s.seconds, s.probe, s.settle = 1, time.Second/2, 100*time.Millisecond, time.Second/2
	s.peers, s.calling, s.turns, s.routes = []int{2000}, [2]int{300, 1}, 2, 100
}

// sensible says what can't be meant.
func (s *settings) sensible(rest, names []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case s.rounds < 1:
		return fmt.Errorf("%d rounds measure nothing", s.rounds)
	}
	for _, name := range s.only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("nothing measures %q: there are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// check looks for what the bench needs before it begins, and says how to get it.
func (s *settings) check() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root, for network namespaces: use sudo")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("needs the kernel's TUN driver (modprobe tun; in a container --device /dev/net/tun): %w", err)
	}
	if err := attempt(func(tb testnet.TB) { testnet.NewHosts(tb, 0) }); err != nil {
		return fmt.Errorf("needs network namespaces joined by veth (modprobe veth; in a container --privileged): %w", err)
	}
	if s.readme {
		return checkReadme(readmeFile)
	}
	return nil
}
