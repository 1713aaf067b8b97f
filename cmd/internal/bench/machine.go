//go:build linux

package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"runtime"
	"strings"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// machine says where figures come from: without it they mean nothing.
type machine struct {
	Processor  string            `json:"processor"`
	Processors int               `json:"processors"`
	Kernel     string            `json:"kernel"`
	Go         string            `json:"go"`
	Versions   map[string]string `json:"versions"` // of what was measured, where it is known
}

func thisMachine() machine {
	m := machine{Processors: runtime.NumCPU(), Go: runtime.Version(), Versions: map[string]string{}}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

// addVersion reads from a Go program what it was built of.
func (m machine) addVersion(kind testnet.Kind, path string) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return // it is no Go program
	}
	version := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version = setting.Value[:min(12, len(setting.Value))]
		}
	}
	m.Versions[string(kind)] = version
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d processors, Linux %s, %s.", m.Processor, m.Processors, m.Kernel, m.Go)
}
