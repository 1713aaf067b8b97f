//go:build linux

package churntest

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"vpn/cmd/internal/testnet"
)

// A level is what a process holds at rest, between two rounds.
type level struct{ goroutines, descriptors, bytes float64 }

// levels are those of each process, in the order taken.
type levels map[string][]level

// enough is how many levels tell a slope from noise.
const enough = 9

// lateGoroutines are what the runtime itself begins late, for its first collection of garbage and others; firstHeap, in kB, is what comes
// together before that collection, in a process that has lived for fewer than grownUp rounds.
const (
	lateGoroutines = 4
	firstHeap      = 4 << 10
	grownUp        = 60
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

// values are the figure's, in the order taken, and whether they stay where they are.
func (f *figure) values(all []level) (values []float64, stay bool) {
	for _, l := range all {
		values = append(values, f.of(l))
	}
	slack := f.slack
	if len(values) < grownUp {
		slack = f.young
	}
	return values, flat(values, f.part, slack)
}

// judge fails the test for each process that has grown. One that lived for a few rounds only is not judged.
func (w *world) judge() {
	w.t.Helper()
	for _, process := range slices.Sorted(maps.Keys(w.levels)) {
		l := w.levels[process]
		if len(l) < enough {
			continue
		}
		for i := range figures {
			if values, stay := figures[i].values(l); !stay {
				w.t.Errorf("%s: %s grow: %.0f", process, figures[i].name, values)
			}
		}
	}
}

// summary is a table for whoever was not there: of each process the lowest figures of the first, the second and the last third of its
// rounds, which is what flat compares, and the highest of all.
func (all levels) summary() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "process\trounds")
	for i := range figures {
		fmt.Fprintf(table, "\t%s: start, middle, end; most", figures[i].name)
	}
	short := 0
	for _, process := range slices.Sorted(maps.Keys(all)) {
		l := all[process]
		if len(l) < enough {
			short++
			continue
		}
		fmt.Fprintf(table, "\n%s\t%d", process, len(l))
		for i := range figures {
			values, stay := figures[i].values(l)
			third := len(values) / 3
			fmt.Fprintf(table, "\t%.0f, %.0f, %.0f; %.0f", slices.Min(values[:third]), slices.Min(values[third:2*third]), slices.Min(values[2*third:]), slices.Max(values))
			if !stay {
				fmt.Fprint(table, " GROWS")
			}
		}
	}
	table.Flush()
	if short > 0 {
		fmt.Fprintf(&b, "\nnot judged, for fewer than %d rounds: %d of those that were killed or restarted", enough, short)
	}
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
	process := fmt.Sprintf("%s (%d)", name, pid)
	w.levels[process] = append(w.levels[process], levelOf(w.t, pid))
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

// countGoroutines reads the Go runtime's table of goroutines out of a process's memory, by what the program's debugging information says
// of it, and counts those that live.
func countGoroutines(pid int) (int, error) {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, err
	}
	where, known := runtimes[program]
	if !known {
		if where, err = runtimeOf(program); err != nil {
			return 0, err
		}
		runtimes[program] = where
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = memory.Close() }()
	word := func(at uint64, size int) uint64 {
		var b [8]byte
		if _, err2 := memory.ReadAt(b[:size], int64(at)); err2 != nil {
			err = err2
		}
		return binary.NativeEndian.Uint64(b[:])
	}
	const dead = 6 // _Gdead of the runtime: one that has ended, and is kept for another
	live := 0
	table := word(where.table, 8)
	for i := range word(where.count, 8) {
		if status := word(word(table+8*i, 8)+where.status, 4); status&0xff != dead {
			live++
		}
	}
	return live, err
}

// goRuntime says where a program keeps its goroutines.
type goRuntime struct {
	table, count uint64 // addresses
	status       uint64 // place in a goroutine
}

// runtimes are those of the programs that were looked into: it takes a while.
var runtimes = map[string]goRuntime{}

func runtimeOf(program string) (goRuntime, error) {
	file, err := elf.Open(program)
	if err != nil {
		return goRuntime{}, err
	}
	defer func() { _ = file.Close() }()
	var where goRuntime
	symbols, err := file.Symbols()
	if err != nil {
		return goRuntime{}, err
	}
	for _, s := range symbols {
		switch s.Name {
		case "runtime.allgptr":
			where.table = s.Value
		case "runtime.allglen":
			where.count = s.Value
		}
	}
	info, err := file.DWARF()
	if err != nil {
		return goRuntime{}, err
	}
	entries := info.Reader()
	for inG := false; ; {
		e, err := entries.Next()
		if err != nil || e == nil {
			return goRuntime{}, fmt.Errorf("no field atomicstatus of runtime.g: %w", err)
		}
		switch name, _ := e.Val(dwarf.AttrName).(string); {
		case e.Tag == dwarf.TagStructType:
			inG = name == "runtime.g"
		case inG && e.Tag == dwarf.TagMember && name == "atomicstatus":
			place, ok := e.Val(dwarf.AttrDataMemberLoc).(int64)
			if !ok || where.table == 0 || where.count == 0 {
				return goRuntime{}, fmt.Errorf("unknown runtime: %+v", where)
			}
			where.status = uint64(place)
			return where, nil
		}
	}
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

// TestSummary holds that the table has each process that is judged, and points at what grows.
func TestSummary(t *testing.T) {
	all := levels{"hub (1)": nil, "laptop, vpn run (2)": nil, "restless, vpn run (3)": make([]level, enough-1)}
	for i := range 12 {
		all["hub (1)"] = append(all["hub (1)"], level{20, 9, 10 << 20})
		all["laptop, vpn run (2)"] = append(all["laptop, vpn run (2)"], level{20 + float64(i), 9 + float64(i%2), 10 << 20})
	}
	for i, want := range []string{
		"process              rounds  goroutines: start, middle, end; most  descriptors: start, middle, end; most  kB of memory: start, middle, end; most",
		"hub (1)              12      20, 20, 20; 20                        9, 9, 9; 9                             10240, 10240, 10240; 10240",
		"laptop, vpn run (2)  12      20, 24, 28; 31                        9, 9, 9; 10                            10240, 10240, 10240; 10240",
		"not judged, for fewer than 9 rounds: 1 of those that were killed or restarted",
	} {
		got := strings.Split(all.summary(), "\n")
		if len(got) != 4 || strings.TrimRight(got[i], " ") != want {
			t.Errorf("line %d is wrong, want %q:\n%s", i+1, want, all.summary())
		}
	}
	for i := range all["laptop, vpn run (2)"] {
		all["laptop, vpn run (2)"][i].goroutines += float64(i)
	}
	if got := all.summary(); strings.Count(got, "GROWS") != 1 || !strings.Contains(got, "20, 28, 36; 42 GROWS") {
		t.Errorf("growth of goroutines is not pointed at:\n%s", got)
	}
}

// TestCountGoroutines counts one's own. "go test" strips its programs of the symbols that counting goes by, so this one is built anew.
func TestCountGoroutines(t *testing.T) {
	if _, err := countGoroutines(os.Getpid()); errors.Is(err, elf.ErrNoSymbols) {
		program := filepath.Join(t.TempDir(), "churntest")
		for _, command := range [][]string{
			{"go", "test", "-c", "-o", program, "."},
			{program, "-test.v", "-test.run", "^TestCountGoroutines$"},
		} {
			out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
		}
		return
	}
	before, err := countGoroutines(os.Getpid())
	if err != nil || before < 2 {
		t.Fatalf("%d goroutines: %v", before, err)
	}
	end := make(chan struct{})
	defer close(end)
	for range 50 {
		go func() { <-end }()
	}
	testnet.Until(t, "fifty more are counted", func() bool {
		now, err := countGoroutines(os.Getpid())
		return err == nil && now >= before+50
	})
}
