//go:build linux

package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Kind is a daemon that the tests know how to build and start.
type Kind string

// The daemons: the program of this module, built with the race detector if the test is; the same as users have it, for tests that look
// at its memory; and the reference that go.mod names.
const (
	VPN         Kind = "vpn"
	Plain       Kind = "plain/vpn" // it obeys to its name, so the folder differs
	WireGuardGo Kind = "wireguard-go"
)

// program says how a kind is built and started. Where the arguments say %i the
// device's name is put.
type program struct {
	pkg  string // what to build, or empty
	path string // of the program, where nothing is built
	args []string
	env  []string // it runs with
	make []string // it is built with
	race bool     // with the race detector, where the test has it
}

var programs = map[Kind]program{
	VPN:         {pkg: "vpn/cmd/vpn", args: []string{"device", "%i", "-f"}, make: []string{"GOEXPERIMENT=runtimesecret"}, race: raced}, // as scripts/install
	Plain:       {pkg: "vpn/cmd/vpn", args: []string{"device", "%i", "-f"}, make: []string{"GOEXPERIMENT=runtimesecret"}},
	WireGuardGo: {pkg: "golang.zx2c4.com/wireguard", args: []string{"-f", "%i"}, env: []string{"LOG_LEVEL=error", "WG_PROCESS_FOREGROUND=1"}},
}

// AddKind names another daemon: a command that makes the device named for %i,
// stays in the foreground and listens on the same control socket as the others.
func AddKind(name string, command []string) Kind {
	programs[Kind(name)] = program{path: command[0], args: command[1:]}
	return Kind(name)
}

// arguments returns a kind's arguments for a device.
func (p program) arguments(link string) []string {
	args := slices.Clone(p.args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "%i", link)
	}
	return args
}

var binaries struct {
	sync.Mutex
	dir  string
	path map[Kind]string
	over bool // Clean has been called
}

const binariesPrefix = "vpn-testnet-"

// Binary builds a kind once per test run and returns its path.
func Binary(tb TB, kind Kind) string {
	tb.Helper()
	binaries.Lock()
	defer binaries.Unlock()
	p, ok := programs[kind]
	if !ok {
		tb.Fatalf("no daemon is called %s", kind)
	}
	if p.path != "" {
		return p.path
	}
	if path, ok := binaries.path[kind]; ok {
		return path
	}
	if binaries.over {
		tb.Fatalf("the run is over")
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
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatalf("folder for binaries: %v", err)
	}
	build := exec.Command("go", "build", fmt.Sprintf("-race=%v", p.race), "-o", path, p.pkg)
	build.Env = append(os.Environ(), p.make...)
	if !p.race { // the detector needs C; without it programs are static, as those of scripts/install
		build.Env = append(build.Env, "CGO_ENABLED=0")
	}
	if text, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(build.Args, " "), err, text)
	}
	binaries.path[kind] = path
	return path
}

// Main runs a package's tests and cleans up after all of them. If they are root's,
// scripts/setup installs first what they need and is not there. TestMain calls
// os.Exit with what it returns.
func Main(m interface{ Run() int }) int {
	defer Clean()
	if raced && os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // by itself, each program that the tests start waits for a second before it ends
	}
	if os.Geteuid() == 0 {
		if err := setUp(); err != nil {
			fmt.Fprintf(os.Stderr, "scripts/setup: %v\n", err)
			return 1
		}
	}
	return m.Run()
}

// setUp runs scripts/setup of the module that the tests belong to.
func setUp() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(root) == root {
			return errors.New("there is no go.mod above the working folder")
		}
		root = filepath.Dir(root)
	}
	cmd := exec.Command(filepath.Join(root, "scripts/setup"))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// Clean removes what belongs to the process and not to one test: the binaries,
// and the control sockets of daemons that were killed. It is the last thing that a
// process does: what still runs beside it builds nothing any more.
func Clean() {
	binaries.Lock()
	defer binaries.Unlock()
	binaries.over = true
	if binaries.dir != "" {
		if err := os.RemoveAll(binaries.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		binaries.dir, binaries.path = "", nil
	}
	remove(func(pid int) bool { return pid == os.Getpid() })
}

// removeStale removes the binaries, daemons and control sockets of runs that were killed.
func removeStale() {
	remove(func(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

// remove removes what processes have left, chosen by their process id.
func remove(chosen func(pid int) bool) {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), binariesPrefix+"*"))
	for _, folder := range folders {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(folder), binariesPrefix))
		if err == nil && chosen(pid) {
			killFrom(folder)
			_ = os.RemoveAll(folder) // another run may be doing the same
		}
	}
	sockets, _ := filepath.Glob(socketPath(linkPrefix + "*"))
	beside, _ := filepath.Glob("/run/vpn/" + linkPrefix + "*") // what our own has for its control socket
	for _, path := range append(sockets, beside...) {
		id, _, ok := strings.Cut(strings.TrimPrefix(filepath.Base(path), linkPrefix), "-")
		pid, err := strconv.ParseInt(id, 36, 32)
		if ok && err == nil && chosen(int(pid)) {
			_ = os.RemoveAll(path)
		}
	}
}
