//go:build linux

package testnet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Kind is a daemon that the tests know how to build and start.
type Kind string

// The daemons: the program of this module, and the reference that go.mod names.
const (
	VPN         Kind = "vpn"
	WireGuardGo Kind = "wireguard-go"
)

// program says how a kind is built and started.
var program = map[Kind]struct {
	pkg  string
	args func(link string) []string
	env  []string
}{
	VPN:         {pkg: "vpn/cmd/vpn", args: func(link string) []string { return []string{"device", link, "-f"} }},
	WireGuardGo: {pkg: "golang.zx2c4.com/wireguard", args: func(link string) []string { return []string{"-f", link} }, env: []string{"LOG_LEVEL=error"}},
}

var binaries struct {
	sync.Mutex
	dir  string
	path map[Kind]string
}

const binariesPrefix = "vpn-testnet-"

// Binary builds a kind once per test run and returns its path.
func Binary(tb TB, kind Kind) string {
	tb.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	if path, ok := binaries.path[kind]; ok {
		return path
	}
	if binaries.dir == "" {
		removeStale()
		dir := filepath.Join(os.TempDir(), binariesPrefix+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			tb.Fatalf("folder for binaries: %v", err)
		}
		binaries.dir, binaries.path = dir, map[Kind]string{}
	}
	path := filepath.Join(binaries.dir, string(kind))
	args := append([]string{"build"}, raceFlags...)
	build := exec.Command("go", append(args, "-o", path, program[kind].pkg)...)
	if text, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(build.Args, " "), err, text)
	}
	binaries.path[kind] = path
	return path
}

// Main runs a package's tests and removes the binaries that were built for
// them. TestMain calls os.Exit with what it returns.
func Main(m interface{ Run() int }) int {
	defer RemoveBinaries()
	return m.Run()
}

// RemoveBinaries removes what Binary has built.
func RemoveBinaries() {
	binaries.Lock()
	defer binaries.Unlock()
	if binaries.dir == "" {
		return
	}
	if err := os.RemoveAll(binaries.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	binaries.dir, binaries.path = "", nil
}

// removeStale removes binaries and control sockets of runs that were killed.
func removeStale() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), binariesPrefix+"*"))
	for _, folder := range folders {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), binariesPrefix))
		if err == nil && dead(pid) {
			_ = os.RemoveAll(folder) // another run may be doing the same
		}
	}
	sockets, _ := filepath.Glob(socketPath(linkPrefix + "*"))
	for _, socket := range sockets {
		id, _, ok := strings.Cut(strings.TrimPrefix(filepath.Base(socket), linkPrefix), "-")
		pid, err := strconv.ParseInt(id, 36, 32)
		if ok && err == nil && dead(int(pid)) {
			_ = os.Remove(socket)
		}
	}
}

func dead(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }
