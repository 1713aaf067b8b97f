package sim

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

var (
	flagSeed  = flag.Uint64("seed", 0, "play this seed only")
	flagFirst = flag.Uint64("first", 1, "the first seed to play")
	flagSeeds = flag.Uint64("seeds", 0, "how many seeds to play; 0: as many as a change has to pass")
	flagTrace = flag.Bool("show", false, "print what happens in a seed that is played alone")
)

// TestMain spends memory on time: a seed makes garbage of many engines, and needs little otherwise.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// seeds is how many seeds a test plays, where it would play so many.
func seeds(full uint64) uint64 {
	switch {
	case raceEnabled:
		return max(full/20, 1)
	case testing.Short():
		return max(full/10, 1)
	}
	return full
}

// chosen are the seeds to play, where that would be so many.
func chosen(full uint64) (first, last uint64) {
	switch {
	case *flagSeed != 0:
		return *flagSeed, *flagSeed
	case *flagSeeds != 0:
		return *flagFirst, *flagFirst + *flagSeeds - 1
	}
	return *flagFirst, *flagFirst + seeds(full) - 1
}

// enough is how many seeds it takes until all has happened that can.
const enough = 100

// TestSeeds plays seeds, each of more than ten minutes, and holds that no rule is broken in any.
func TestSeeds(t *testing.T) {
	first, last := chosen(2000)
	c := new(census)
	if last-first+1 >= enough {
		t.Cleanup(func() { c.complete(t) })
	}
	playAll(t, first, last, options{census: c})
}

// playAll plays seeds, as many at once as there are processors.
func playAll(t *testing.T, first, last uint64, o options) {
	var next atomic.Uint64
	next.Store(first)
	for lane := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1) - 1; seed <= last && !t.Failed(); seed = next.Add(1) - 1 {
				if *flagSeed != 0 && *flagTrace {
					o.trace = new(trace)
				}
				broken := play(t, seed, o)
				if o.trace != nil {
					t.Log("\n" + string(o.trace.lines))
				}
				report(t, seed, o, broken)
			}
		})
	}
}

// report says which rules a seed has broken, and what happened just before.
func report(t *testing.T, seed uint64, o options, broken map[rule]string) {
	if len(broken) == 0 {
		return
	}
	for _, x := range slices.Sorted(maps.Keys(broken)) {
		t.Errorf("seed %d: %s:\n%s", seed, x, broken[x])
	}
	if o.census = nil; o.trace == nil && !o.stock {
		o.trace = new(trace)
		play(t, seed, o)
		lines := strings.SplitAfter(string(o.trace.lines), "\n")
		t.Log("\n" + strings.Join(lines[max(0, len(lines)-40):], ""))
	}
	t.Logf("again: go test ./tunnel/internal/sim -run '^%s$' -seed %d -show", strings.SplitN(t.Name(), "/", 2)[0], seed)
}

// TestSameSeedSameTrace plays seeds twice, with one processor and with several: what happens is the same, byte for byte.
func TestSameSeedSameTrace(t *testing.T) {
	record := func(seed uint64, processors int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		o := options{trace: new(trace)}
		play(t, seed, o)
		return o.trace.lines
	}
	for seed := range seeds(60) {
		seed += 100_000
		one, other := record(seed, 1), record(seed, 8)
		if bytes.Equal(one, other) {
			continue
		}
		a, b := bytes.SplitAfter(one, []byte("\n")), bytes.SplitAfter(other, []byte("\n"))
		for i := range a {
			if i >= len(b) || !bytes.Equal(a[i], b[i]) {
				t.Fatalf("seed %d: two traces, from line %d on:\n%s\n%s", seed, i+1,
					bytes.Join(a[max(i-10, 0):min(i+3, len(a))], nil), bytes.Join(b[max(i-10, 0):min(i+3, len(b))], nil))
			}
		}
		t.Fatalf("seed %d: one trace is longer", seed)
	}
}
