//go:build linux

package churntest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
)

// A level is what a process holds at rest, between two rounds.
type level struct{ goroutines, descriptors, bytes float64 }

// A life is one process's, with its levels in the order taken.
type life struct {
	pid    int
	levels []level
}

// lives are those of all processes, by what they are, in the order in which they came.
type lives map[string][]*life

// enough is how many levels tell a slope from noise.
const enough = 9

// lateGoroutines are what the runtime itself begins late, for its first collection of garbage and others; firstHeap, in kB, is what comes
// together before that collection, in a process that has lived for fewer than grownUp rounds.
const (
	lateGoroutines = 4
	firstHeap      = 4 << 10
	grownUp        = 300
)

// flat reports whether values stay where they are. The first third is for warming up. Of the second and of the last third the lowest are
// compared: what is borrowed for a moment raises single values, and only what is never given back raises the lowest. The last may be
// higher by slack and by a part of the other.
func flat(values []float64, part, slack float64) bool {
	third := len(values) / 3
	before, after := slices.Min(values[third:2*third]), slices.Min(values[2*third:])
	return after <= before*(1+part)+slack
}

// A figure is looked at in a process. Young is the slack of one that is not grown up.
type figure struct {
	name               string
	of                 func(level) float64
	part, young, slack float64
}

// figures are in the order of the summary.
var figures = []figure{
	{"goroutines", func(l level) float64 { return l.goroutines }, 0, lateGoroutines, lateGoroutines},
	{"descriptors", func(l level) float64 { return l.descriptors }, 0, 1, 1},
	{"kB of memory", func(l level) float64 { return l.bytes / 1024 }, 0.1, firstHeap, 2 << 10},
}

// values are the figure's, in the order taken.
func (f *figure) values(all []level) (values []float64) {
	for _, l := range all {
		values = append(values, f.of(l))
	}
	return values
}

// stays reports whether the figure stays where it is. One who lived for a few rounds only is not judged.
func (f *figure) stays(all []level) bool {
	switch {
	case len(all) < enough:
		return true
	case len(all) < grownUp:
		return flat(f.values(all), f.part, f.young)
	}
	return flat(f.values(all), f.part, f.slack)
}

// told is the figure's cell of the summary.
func (f *figure) told(lives []*life) string {
	var lowest []float64
	most := 0.0
	for _, l := range lives {
		values := f.values(l.levels)
		most = max(most, slices.Max(values))
		if lowest = append(lowest, slices.Min(values)); len(lives) == 1 {
			lowest = values
		}
	}
	third := len(lowest) / 3
	if third == 0 {
		return fmt.Sprintf("%.0f, -, %.0f; %.0f", lowest[0], lowest[len(lowest)-1], most)
	}
	return fmt.Sprintf("%.0f, %.0f, %.0f; %.0f", slices.Min(lowest[:third]), slices.Min(lowest[third:2*third]), slices.Min(lowest[2*third:]), most)
}

// grows names the figures that don't stay where they are.
func (l *life) grows() (names []string) {
	for i := range figures {
		if !figures[i].stays(l.levels) {
			names = append(names, figures[i].name)
		}
	}
	return names
}

// judge fails the test for each process that has grown.
func (w *world) judge() {
	w.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(w.lives)) {
		for _, l := range w.lives[name] {
			if grows := l.grows(); len(grows) > 0 {
				w.t.Errorf("%s (%d): %s: %.0f", name, l.pid, strings.Join(grows, ", "), l.levels)
			}
		}
	}
}

// summary is a table for whoever was not there: the lowest figures of the first, the second and the last third of the rounds, which is what
// flat compares, and the highest of all. Those that were killed or restarted and replaced by others share a line, in which the lowest figures
// of each take the place of the rounds.
func (all lives) summary() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "process\trounds")
	for i := range figures {
		fmt.Fprintf(table, "\t%s: start, middle, end; most", figures[i].name)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lives := all[name]
		rounds, grows := 0, []string(nil)
		for _, l := range lives {
			rounds += len(l.levels)
			grows = append(grows, l.grows()...)
		}
		if len(lives) > 1 {
			name += fmt.Sprintf(" (%d in turn)", len(lives))
		}
		fmt.Fprintf(table, "\n%s\t%d", name, rounds)
		for i := range figures {
			fmt.Fprintf(table, "\t%s", figures[i].told(lives))
			if slices.Contains(grows, figures[i].name) {
				fmt.Fprint(table, " GROWS")
			}
		}
	}
	table.Flush()
	return b.String()
}

// sample takes the levels of all processes.
func (w *world) sample() {
	w.t.Helper()
	w.take("hub", w.hub.PID())
	for _, s := range w.spokes {
		if s.daemon != nil {
			w.take(s.host.Name, s.daemon.PID())
			continue
		}
		for _, command := range []string{"run", "device"} {
			if pid := s.pid(command); pid != 0 {
				w.take(s.host.Name+", vpn "+command, pid)
			} else {
				w.t.Errorf("%s: vpn %s has ended", s.host.Name, command)
			}
		}
	}
}

func (w *world) take(name string, pid int) {
	w.t.Helper()
	lives := w.lives[name]
	if len(lives) == 0 || lives[len(lives)-1].pid != pid {
		lives = append(lives, &life{pid: pid})
		w.lives[name] = lives
	}
	last := lives[len(lives)-1]
	last.levels = append(last.levels, levelOf(w.t, pid))
}

func levelOf(t *testing.T, pid int) level {
	t.Helper()
	goroutines, err := countGoroutines(pid)
	if err != nil {
		t.Fatalf("process %d: goroutines: %v", pid, err)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatalf("process %d: descriptors: %v", pid, err)
	}
	bytes, err := anonymous(pid)
	if err != nil {
		t.Fatalf("process %d: memory: %v", pid, err)
	}
	return level{float64(goroutines), float64(len(descriptors)), bytes}
}

// anonymous returns the resident memory of a process that no file backs.
func anonymous(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kilobytes * 1024, err
		}
	}
	return 0, fmt.Errorf("no RssAnon in %q", text)
}

// TestFlat holds that one descriptor a round is seen in two minutes, and that noise is none.
func TestFlat(t *testing.T) {
	steady, noisy, leak := make([]float64, 18), make([]float64, 18), make([]float64, 18)
	for i := range steady {
		steady[i], noisy[i], leak[i] = 20, 20+float64(i*7%5), 20+float64(i*7%5+i)
	}
	if !flat(steady, 0, 1) || !flat(noisy, 0, 1) || flat(leak, 0, 1) {
		t.Errorf("steady is flat: %v, noisy: %v, growing: %v", flat(steady, 0, 1), flat(noisy, 0, 1), flat(leak, 0, 1))
	}
}

// TestSummary holds that the table has a line for each process, one for all that came in turn, and points at what grows.
func TestSummary(t *testing.T) {
	hub, laptop := &life{pid: 1}, &life{pid: 2}
	for i := range 12 {
		hub.levels = append(hub.levels, level{20, 9, 10 << 20})
		laptop.levels = append(laptop.levels, level{20 + float64(i), 9 + float64(i%2), 10 << 20})
	}
	all := lives{"hub": {hub}, "laptop, vpn run": {laptop}}
	for i := range 6 {
		all["restless"] = append(all["restless"], &life{3 + i, []level{{30 + float64(i), 9, 2 << 20}, {31, 9, 3 << 20}}})
	}
	const head = "goroutines: start, middle, end; most  descriptors: start, middle, end; most  kB of memory: start, middle, end; most"
	for i, want := range []string{
		"process               rounds  " + head,
		"hub                   12      20, 20, 20; 20                        9, 9, 9; 9                             10240, 10240, 10240; 10240",
		"laptop, vpn run       12      20, 24, 28; 31                        9, 9, 9; 10                            10240, 10240, 10240; 10240",
		"restless (6 in turn)  12      30, 31, 31; 35                        9, 9, 9; 9                             2048, 2048, 2048; 3072",
	} {
		if got := strings.Split(all.summary(), "\n"); len(got) != 4 || strings.TrimRight(got[i], " ") != want {
			t.Errorf("line %d is wrong, want %q:\n%s", i+1, want, all.summary())
		}
	}
	for i := range laptop.levels {
		laptop.levels[i].goroutines += float64(i)
	}
	if got := all.summary(); strings.Count(got, "GROWS") != 1 || !strings.Contains(got, "20, 28, 36; 42 GROWS") {
		t.Errorf("growth of goroutines is not pointed at:\n%s", got)
	}
}
