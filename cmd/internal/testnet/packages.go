//go:build linux

package testnet

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Package is a Debian package that scripts/setup has unpacked beside the system,
// because it can't be installed there, or its service is not to run.
type Package string

// The packages.
const (
	SystemdResolved Package = "systemd-resolved"
	Openresolv      Package = "openresolv"
	Resolvconf      Package = "resolvconf" // Debian's own
	NetworkManager  Package = "network-manager"
	Prometheus      Package = "prometheus"
)

// Install makes a package's programs appear on a host of [NewMachine], and there
// alone, where they are when it is installed. A host has one package at most.
func (h *Host) Install(p Package) {
	h.tb.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = "/var/cache"
	}
	root := filepath.Join(cache, "vpn-tests", string(p))
	if _, err := os.Stat(root); err != nil {
		h.tb.Fatalf("%s is not unpacked (run scripts/setup): %v", p, err)
	}
	h.Do(func() {
		for _, folder := range []string{"/usr/lib", "/usr/bin", "/usr/sbin", "/usr/share"} {
			layers := folder
			// Packages of this age put some files into /lib, which is a link to /usr/lib.
			for _, from := range []string{folder, strings.TrimPrefix(folder, "/usr")} {
				if _, err := os.Stat(root + from); err == nil {
					layers = root + from + ":" + layers
				}
			}
			if layers != folder {
				h.check(unix.Mount("overlay", folder, "overlay", unix.MS_RDONLY, "lowerdir="+layers), "install %s", p)
			}
		}
		h.check(os.CopyFS("/etc", os.DirFS(root+"/etc")), "configure %s", p)
	})
}

// busConfig lets everybody who can reach the bus do everything.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
`

// StartBus starts a D-Bus daemon as the system bus of a host of [NewMachine].
func (h *Host) StartBus() *Process {
	h.tb.Helper()
	h.MustRun("mkdir", "-p", "/run/dbus")
	h.WriteFile("/run/dbus/config", busConfig, 0o644)
	p := h.Start(nil, "dbus-daemon", "--config-file=/run/dbus/config", "--nofork", "--nopidfile", "--print-address=1")
	p.WaitOutput("unix:path=")
	return p
}

// Resolved is a systemd-resolved that runs.
type Resolved struct {
	*Process
}

// resolvedUser is who systemd-resolved runs as once it has started.
const resolvedUser = "systemd-resolve"

// InstallResolved installs systemd-resolved on a host of [NewMachine] that has a
// bus, lets resolv.conf lead to it, and starts it.
func (h *Host) InstallResolved() *Resolved {
	h.tb.Helper()
	h.Install(SystemdResolved)
	if !strings.Contains(h.ReadFile("/etc/passwd"), "\n"+resolvedUser+":") {
		h.MustRun("sh", "-c", "echo '"+resolvedUser+":x:64990:64990::/:/usr/sbin/nologin' >>/etc/passwd; echo '"+resolvedUser+":x:64990:' >>/etc/group")
	}
	h.MustRun("mkdir", "-p", "/run/systemd")
	h.MustRun("ln", "-sf", "../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf")
	return h.StartResolved()
}

// StartResolved starts an installed systemd-resolved, and waits until it answers.
func (h *Host) StartResolved() *Resolved {
	h.tb.Helper()
	p := h.Start(nil, "/lib/systemd/systemd-resolved")
	Until(h.tb, "systemd-resolved answers", func() bool {
		if !p.Running() {
			h.tb.Fatalf("%s: systemd-resolved ended at once", h.Name)
		}
		_, code := h.Run("resolvectl", "--no-pager", "status")
		return code == 0
	})
	return &Resolved{p}
}
