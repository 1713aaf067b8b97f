//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// settings are the command line's wishes.
type settings struct {
	daemons []testnet.Kind // the last is the one that the others are compared with
	only    []string
	rounds  int
	seconds time.Duration // of each stream
	peers   int
	settle  time.Duration // between configuring peers and looking at the memory
	json    bool
}

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		os.Exit(2)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: needs root, for network namespaces")
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, unix.SIGTERM)
	go func() {
		<-stop
		testnet.Clean() // what else there is ends with this process
		os.Exit(1)
	}()
	report, err := s.run()
	testnet.Clean()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if err := report.print(os.Stdout, s.json); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, help io.Writer) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(help)
	var names []string
	for _, b := range benches {
		names = append(names, b.name)
	}
	daemons := flags.String("daemons", "vpn,wireguard-go", "who is measured; the others are compared with the last")
	only := flags.String("only", "", "measure these alone, of "+strings.Join(names, ","))
	quick := flags.Bool("quick", false, "one short round, to see that it works")
	flags.IntVar(&s.rounds, "rounds", 5, "how often each daemon is measured")
	flags.DurationVar(&s.seconds, "time", 6*time.Second, "how long each stream runs")
	flags.IntVar(&s.peers, "peers", 20000, "how many idle peers are configured")
	flags.DurationVar(&s.settle, "settle", 10*time.Second, "when the memory of idle peers is read")
	flags.BoolVar(&s.json, "json", false, "print JSON, with each value measured")
	var others []testnet.Kind
	flags.Func("peer", "measure another daemon too: `name=command`, with %i for the device's name", func(value string) error {
		name, command, ok := strings.Cut(value, "=")
		if !ok || name == "" || !strings.Contains(command, "%i") {
			return fmt.Errorf("%q is not name=command %%i", value)
		}
		others = append(others, testnet.AddKind(name, strings.Fields(command)))
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		s.rounds, s.seconds, s.peers, s.settle = 1, 2*time.Second, min(s.peers, 2000), time.Second
	}
	s.daemons = others
	for name := range strings.SplitSeq(*daemons, ",") {
		s.daemons = append(s.daemons, testnet.Kind(name))
	}
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	for _, name := range s.only {
		if !slices.Contains(names, name) {
			fmt.Fprintf(help, "bench: nothing measures %q\n", name)
			return nil, flag.ErrHelp
		}
	}
	return s, nil
}

// run measures everything that was asked for.
func (s *settings) run() (*report, error) {
	r := newReport(s.daemons)
	for _, b := range benches {
		if len(s.only) > 0 && !slices.Contains(s.only, b.name) {
			continue
		}
		for round := range s.rounds {
			for _, kind := range s.daemons {
				fmt.Fprintf(os.Stderr, "%s: round %d of %d: %s\n", b.name, round+1, s.rounds, kind)
				err := attempt(func(tb testnet.TB) { b.run(tb, s, kind, r) })
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", b.name, kind, err)
				}
			}
		}
	}
	return r, nil
}
