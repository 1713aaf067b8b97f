package house

import (
	"fmt"
	"go/ast"
	"strconv"
	"strings"
)

const module = "vpn"

// layers says, for each package that has a place of its own in the
// architecture, which others it may import. A package that is not named here
// belongs to its nearest named parent, whose other packages it may import too.
var layers = map[string][]string{
	"cmd":               {"..."},
	"scripts":           {"..."},
	"conf":              {"noise/key"},
	"noise":             {"noise/key", "noise/wire", "noise/cookie", "noise/aead", "noise/erasing"},
	"noise/aead":        {"noise/erasing"},
	"noise/cookie":      {"noise/key", "noise/wire"},
	"noise/erasing":     {},
	"noise/key":         {"noise/erasing"},
	"noise/wire":        {},
	"rekey":             {"noise/aead"},
	"tun":               {"tun/offload"},
	"tun/host":          {"conf", "tun"},
	"tun/netstack":      {"tun"},
	"tun/offload":       {},
	"tunnel":            {"noise", "noise/aead", "noise/cookie", "noise/erasing", "noise/key", "noise/wire", "rekey", "tun", "tun/offload", "tunnel/allowedips", "tunnel/udp", "tunnel/uapi"},
	"tunnel/allowedips": {},
	"tunnel/udp":        {},
	"tunnel/uapi":       {"noise/key"},
}

// pure are the packages whose time, randomness and memory are arguments.
var pure = []string{"noise", "rekey", "tun/offload"}

// impure are the imports that a pure package can't have, each with all below
// it. What is named in harmless is let through.
var (
	impure   = []string{"crypto/rand", "golang.org/x/sys", "log", "math/rand", "net", "os", "runtime", "syscall"}
	harmless = []string{"golang.org/x/sys/cpu", "net/netip", "runtime/secret"} // cpu tells which instructions there are, and does nothing
)

// excused are single imports that one package may have all the same: noise/aead looks into the environment once, at start, for the
// name of the vector code that a test wants; and what shows tests the registers looks for a function's code.
var excused = map[string]string{"noise/aead": "os", "noise/aead/internal/registers": "runtime"}

// reservedTo names outside packages that only a part of the house may know.
var reservedTo = map[string][]string{
	"github.com/spf13/cobra":            {"cmd"},
	"github.com/coreos/go-systemd":      {"cmd"},
	"os/signal":                         {"cmd"},
	"log":                               {"cmd", "tunnel"},
	"testing":                           {},
	"github.com/prometheus":             {},                                                // slow to start; the metrics are written by hand
	"golang.zx2c4.com/wireguard":        {"rekey", "tun", "tunnel", "cmd/internal/gather"}, // there wgctrl, for the kernel's own
	"github.com/vishvananda/netns":      {"cmd"},
	"github.com/google/nftables":        {"cmd", "tun/host"},
	"github.com/godbus/dbus":            {"cmd", "tun/host"},
	"golang.zx2c4.com/wintun":           {"tun"},
	"gvisor.dev/gvisor":                 {"tun/netstack"},
	"vpn/noise/aead/internal/registers": {}, // it is for tests
	"vpn/tun/netstack":                  {}, // gVisor's packages take half a millisecond of each start; it is for tests
	"github.com/cloudflare/circl":       {"noise/key"},
	"golang.org/x/crypto/blake2s":       {"noise"},
	"github.com/gaissmai/bart":          {"tunnel/allowedips"},
	"github.com/google/renameio/v2":     {"cmd", "tun/host", "conf"},
}

// clocks are the functions of package time that read a clock or start a timer.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// topLevel are the entries that the repository's first folder may have.
var topLevel = []string{
	".ci", ".git", ".gitignore", ".golangci.yml", "ARCHITECTURE.md", "LICENSE", "README.md", "SECURITY.md",
	"cmd", "conf", "go.mod", "go.sum", "noise", "rekey", "scripts", "tun", "tunnel",
}

// maxLines is the length of a file that nobody reads to its end.
const maxLines = 450

// source is one Go file that is not a test.
type source struct {
	pkg   string // folder, relative to the module, with slashes
	name  string
	lines int
	file  *ast.File
}

// imports returns the paths that the file imports.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused such a file already
		}
		paths = append(paths, path)
	}
	return paths
}

// within says whether path is folder or below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func withinAny(path string, folders []string) bool {
	for _, folder := range folders {
		if folder == "..." || within(path, folder) {
			return true
		}
	}
	return false
}

// layerOf returns the nearest named parent of a package.
func layerOf(pkg string) (layer string, ok bool) {
	for name := range layers {
		if within(pkg, name) && len(name) > len(layer) {
			layer, ok = name, true
		}
	}
	return layer, ok
}

// rule looks at one file and returns what is wrong with it.
type rule func(s *source) []string

var rules = map[string]rule{
	"layers":   checkLayers,
	"purity":   checkPurity,
	"clocks":   checkClocks,
	"routines": checkRoutines,
	"reserved": checkReserved,
	"length":   checkLength,
}

func checkLayers(s *source) (wrong []string) {
	layer, ok := layerOf(s.pkg)
	if !ok {
		return []string{"no place in the architecture"}
	}
	for _, path := range s.imports() {
		imported, inside := strings.CutPrefix(path, module+"/")
		if !inside {
			continue
		}
		of, ok := layerOf(imported)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("imports %s, which has no place in the architecture", imported))
			continue
		}
		if of != layer && !allows(layers[layer], of) {
			wrong = append(wrong, fmt.Sprintf("%s may not import %s", layer, imported))
		}
	}
	return wrong
}

// allows says whether a list of layers names this one.
func allows(list []string, layer string) bool {
	for _, name := range list {
		if name == "..." || name == layer {
			return true
		}
	}
	return false
}

func checkPurity(s *source) (wrong []string) {
	if !withinAny(s.pkg, pure) {
		return nil
	}
	for _, path := range s.imports() {
		if withinAny(path, impure) && !withinAny(path, harmless) && excused[s.pkg] != path {
			wrong = append(wrong, "a pure package may not import "+path)
		}
		if within(path, "golang.zx2c4.com/wireguard") && path != "golang.zx2c4.com/wireguard/replay" {
			wrong = append(wrong, "of wireguard-go a pure package may import the replay window only, not "+path)
		}
	}
	return wrong
}

func checkClocks(s *source) (wrong []string) {
	if !withinAny(s.pkg, pure) {
		return nil
	}
	name := ""
	for _, spec := range s.file.Imports {
		if spec.Path.Value == `"time"` {
			name = "time"
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	}
	if name == "" {
		return nil
	}
	if name == "." {
		return []string{"a pure package names the package time where it uses it"}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && x.Name == name && allows(clocks, selector.Sel.Name) {
			wrong = append(wrong, "a pure package is told the time: time."+selector.Sel.Name)
		}
		return true
	})
	return wrong
}

func checkRoutines(s *source) (wrong []string) {
	if !withinAny(s.pkg, pure) {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if _, ok := n.(*ast.GoStmt); ok {
			wrong = append(wrong, "a pure package starts no goroutine")
		}
		return true
	})
	return wrong
}

func checkReserved(s *source) (wrong []string) {
	for _, path := range s.imports() {
		if within(path, "golang.zx2c4.com/wireguard/device") {
			wrong = append(wrong, "the engine is our own: "+path+" is for tests")
		}
		for outside, folders := range reservedTo {
			if within(path, outside) && !withinAny(s.pkg, folders) {
				wrong = append(wrong, fmt.Sprintf("%s is for %s only", path, strings.Join(folders, ", ")))
			}
		}
	}
	return wrong
}

func checkLength(s *source) []string {
	if s.lines > maxLines && !ast.IsGenerated(s.file) {
		return []string{fmt.Sprintf("%d lines, more than %d", s.lines, maxLines)}
	}
	return nil
}
