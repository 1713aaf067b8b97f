//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// root is the module's folder, seen from this package's.
const root = "../../.."

// isRoot says in one line that a test needs root.
func isRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("needs root, for network namespaces: not run")
	}
	return os.Geteuid() == 0
}

// TestQuick runs everything once, by the script as people do, and looks at the
// machinery: all rows are there, and every value is a number above zero.
func TestQuick(t *testing.T) {
	if !isRoot(t) {
		return
	}
	picture := filepath.Join(t.TempDir(), "bench.svg")
	bench := exec.Command(root+"/scripts/bench", "--quick", "--json", "--svg", picture)
	var stdout, stderr bytes.Buffer
	bench.Stdout, bench.Stderr = &stdout, &stderr
	if err := bench.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var out struct {
		Machine struct{ Versions map[string]string }
		Figures []struct {
			Name   string
			Median map[string]float64
			Values map[string][]float64
			Ratio  map[string]float64
		}
		Notes []string
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &stdout)
	}
	wanted := []figure{
		tcpOne, tcpFour, tcpOneBoth, tcpFourBoth, tcpCPU, memoryIdle, memoryBusy, rttIdle, rttIdleTail, rttBusy, rttBusyTail,
		udpRate(64), udpRate(512), udpRate(1300), udpCPU(64), udpCPU(512), udpCPU(1300), handshakeRate, handshakeCPU,
		floodKept(10_000), floodMachine(10_000), floodKept(30_000), floodMachine(30_000), floodCPU, floodAlone, floodMemory,
		peersTime(2000), peersMemory(2000), peersPeak(2000), peerMemory(2000), dumpTime(2000), startTime,
		upSplit, upFull, upRoutes(100),
	}
	if len(out.Figures) != len(wanted) {
		t.Errorf("%d rows, want %d", len(out.Figures), len(wanted))
	}
	rows := map[string]int{}
	for i, f := range out.Figures {
		rows[f.Name] = i
	}
	for _, f := range wanted {
		i, ok := rows[f.Name]
		if !ok {
			t.Errorf("no row %q", f.Name)
			continue
		}
		got := out.Figures[i]
		if got.Ratio["vpn"] <= 0 {
			t.Errorf("%s: ratio %v", f.Name, got.Ratio)
		}
		for _, kind := range []string{"vpn", "wireguard-go"} {
			if len(got.Values[kind]) != 1 || !(got.Median[kind] > 0) || math.IsInf(got.Median[kind], 0) {
				t.Errorf("%s: %s: values %v, median %v", f.Name, kind, got.Values[kind], got.Median[kind])
			}
		}
	}
	if got := out.Machine.Versions["wireguard-go"]; !strings.HasPrefix(got, "v0.0.0-") {
		t.Errorf("wireguard-go's version is %q, want that of go.mod", got)
	}
	if len(out.Notes) < len(udpSizes) || !strings.Contains(out.Notes[0], "Without a tunnel") {
		t.Errorf("notes: %q", out.Notes)
	}
	if _, err := os.Stat(picture); err != nil {
		t.Error(err)
	}
}

// TestInterrupt interrupts a run as ctrl-C does: nothing is left of it.
func TestInterrupt(t *testing.T) {
	if !isRoot(t) {
		return
	}
	temporary := t.TempDir()
	bench := exec.Command(root+"/scripts/bench", "--quick", "--only", "tcp", "--rounds", "1000")
	bench.Env = append(os.Environ(), "TMPDIR="+temporary)
	bench.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := bench.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bench.Start(); err != nil {
		t.Fatal(err)
	}
	tooLong := time.AfterFunc(2*time.Minute, func() { _ = unix.Kill(-bench.Process.Pid, unix.SIGKILL) })
	defer tooLong.Stop()
	var told strings.Builder
	block := make([]byte, 1<<10)
	interrupted := false
	for {
		n, err := stderr.Read(block)
		told.Write(block[:n])
		if !interrupted && strings.Contains(told.String(), "tcp: round 1") {
			interrupted = true
			if err := unix.Kill(-bench.Process.Pid, unix.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := bench.Wait(); err == nil || !interrupted || !strings.Contains(told.String(), "bench: interrupt") {
		t.Errorf("interrupted: %v, ended with %v:\n%s", interrupted, err, &told)
	}
	if left, err := filepath.Glob(temporary + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %q, %v", left, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		if path, err := os.Readlink(process); err == nil && strings.HasPrefix(path, temporary) {
			t.Errorf("%s runs on: %s", process, path)
		}
	}
}

// TestBroken measures a program that ends at once.
func TestBroken(t *testing.T) {
	if !isRoot(t) {
		return
	}
	s, err := parse([]string{"--quick", "--daemons", "wireguard-go", "--peer", "broken=/bin/false %i", "--only", "rtt"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.run()
	if err == nil || !strings.Contains(err.Error(), "rtt: broken:") || !strings.Contains(err.Error(), "ended at once") {
		t.Errorf("err = %v, want one that says that broken ended at once", err)
	}
}

func TestAttemptCleansUp(t *testing.T) {
	var order []string
	err := attempt(func(tb testnet.TB) {
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { order = append(order, "second"); tb.Fatalf("in the cleanup") })
		tb.Fatalf("in the middle")
	})
	if err == nil || !strings.Contains(err.Error(), "in the middle") || !strings.Contains(err.Error(), "in the cleanup") {
		t.Errorf("err = %v, want both failures", err)
	}
	if got := strings.Join(order, " "); got != "second first" {
		t.Errorf("cleanups ran as %q", got)
	}
}

func TestParse(t *testing.T) {
	s, err := parse([]string{"--quick", "--peer", "mine=/bin/mine -f %i", "--only", "tcp", "--readme"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.daemons) != 3 || s.daemons[0] != testnet.VPN || s.daemons[1] != "mine" || s.daemons[2] != testnet.WireGuardGo {
		t.Errorf("daemons = %v", s.daemons)
	}
	if s.rounds != 1 || s.svg != pictureFile {
		t.Errorf("parse = %+v", s)
	}
	for _, args := range [][]string{
		{"--only", "nothing"}, {"--peer", "mine"}, {"--peer", "mine=x"}, {"--rounds", "0"}, {"tcp"},
	} {
		var help bytes.Buffer
		if _, err := parse(args, &help); err == nil || help.Len() == 0 {
			t.Errorf("parse(%q) = %v and says %q", args, err, &help)
		}
	}
}
