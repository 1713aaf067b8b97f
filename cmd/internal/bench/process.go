//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// clockTicks is the unit of times in /proc/PID/stat: USER_HZ, 100 everywhere.
const clockTicks = 100

// cpuSeconds returns what daemons have used, in user and system mode.
func cpuSeconds(tb testnet.TB, daemons ...*testnet.Daemon) (sum float64) {
	tb.Helper()
	for _, d := range daemons {
		text := string(readProc(tb, d, "stat"))
		// The name in parentheses may hold anything; the fields are counted after it.
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		for _, i := range []int{11, 12} {
			n, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				tb.Fatalf("/proc/PID/stat: %v", err)
			}
			sum += n / clockTicks
		}
	}
	return sum
}

// megabytes returns a figure of /proc/PID/status: "VmRSS" is what is resident,
// "VmHWM" the most that ever was.
func megabytes(tb testnet.TB, d *testnet.Daemon, name string) float64 {
	tb.Helper()
	return memoryFigure(tb, readProc(tb, d, "status"), name) / 1e6
}

// availableBytes is the memory that this machine has left.
func availableBytes(tb testnet.TB) float64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		tb.Fatalf("memory: %v", err)
	}
	return memoryFigure(tb, text, "MemAvailable")
}

// memoryFigure finds a line "name: N kB", and returns bytes.
func memoryFigure(tb testnet.TB, text []byte, name string) float64 {
	tb.Helper()
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name+":" {
			n, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			return n * 1024
		}
	}
	tb.Fatalf("the kernel does not say %s", name)
	return 0
}

func readProc(tb testnet.TB, d *testnet.Daemon, file string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.PID()), file))
	if err != nil {
		tb.Fatalf("%s has ended: %v", d.Kind, err)
	}
	return text
}

// confine lets a daemon run on one processor only, the last of those that this
// process has.
func confine(tb testnet.TB, d *testnet.Daemon) {
	tb.Helper()
	var ours, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &ours); err != nil {
		tb.Fatalf("processors: %v", err)
	}
	last := 0
	for cpu := range len(ours) * 64 {
		if ours.IsSet(cpu) {
			last = cpu
		}
	}
	one.Set(last)
	// A thread that starts meanwhile has its maker's set, old or new: so again,
	// until all were seen twice.
	for range 2 {
		tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(d.PID()), "task", "*"))
		if err != nil || len(tasks) == 0 {
			tb.Fatalf("%s has no threads: %v", d.Kind, err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				tb.Fatalf("thread: %v", err)
			}
			if err := unix.SchedSetaffinity(tid, &one); err != nil && err != unix.ESRCH {
				tb.Fatalf("confine %s to a processor: %v", d.Kind, err)
			}
		}
	}
}
