package host

import (
	"fmt"
	"net/netip"
	"strings"
)

// OpenLink makes the link, a TUN device that outlives its descriptors. It is its
// [Owner]'s to do.
type OpenLink struct {
	Link string `json:"link"`
}

func (a OpenLink) String() string { return "ip tuntap add dev " + a.Link + " mode tun" }

// DeleteLink deletes the link, if it is the one that was opened.
type DeleteLink struct {
	Link string `json:"link"`
}

func (a DeleteLink) String() string { return "ip link delete dev " + a.Link }

// Configure gives the link keys, peers, port and mark. It is its [Owner]'s to do.
type Configure struct {
	Link string `json:"link"`
	File string `json:"file"`
}

func (a Configure) String() string {
	if !strings.Contains(a.File, "/") { // no path: standard input, which is read already
		return fmt.Sprintf("wg setconf %s /dev/stdin", a.Link)
	}
	return fmt.Sprintf("wg setconf %s <(wg-quick strip %s)", a.Link, a.File)
}

// SetMark gives the tunnel's messages a mark. It is its [Owner]'s to do.
type SetMark struct {
	Link string `json:"link"`
	Mark uint32 `json:"mark"` // 0: off
}

func (a SetMark) String() string {
	if a.Mark == 0 {
		return fmt.Sprintf("wg set %s fwmark off", a.Link)
	}
	return fmt.Sprintf("wg set %s fwmark %d", a.Link, a.Mark)
}

// HookKind says when a hook is run.
type HookKind string

// The hooks, called as in the file.
const (
	PreUp    HookKind = "PreUp"
	PostUp   HookKind = "PostUp"
	PreDown  HookKind = "PreDown"
	PostDown HookKind = "PostDown"
)

// Hook is a command of the user's for bash, with %i expanded. It is the link's
// [Owner]'s to run.
type Hook struct {
	Kind    HookKind `json:"kind"`
	Command string   `json:"command"`
	Line    int      `json:"line,omitempty"` // in the file
}

func (a Hook) String() string { return a.Command }

// AddAddress gives the link an address.
type AddAddress struct {
	Link   string       `json:"link"`
	Prefix netip.Prefix `json:"prefix"` // the address, with its subnet's length
}

func (a AddAddress) String() string {
	return fmt.Sprintf("ip %s address add %v dev %s", family(a.Prefix.Addr()), a.Prefix, a.Link)
}

// DeleteAddress takes an address from the link.
type DeleteAddress struct {
	Link   string       `json:"link"`
	Prefix netip.Prefix `json:"prefix"`
}

func (a DeleteAddress) String() string {
	return fmt.Sprintf("ip %s address delete %v dev %s", family(a.Prefix.Addr()), a.Prefix, a.Link)
}

// SetLink sets the link's MTU, and the link up.
type SetLink struct {
	Link string `json:"link"`
	MTU  int    `json:"mtu"`
	Up   bool   `json:"up,omitempty"`
}

func (a SetLink) String() string {
	if a.Up {
		return fmt.Sprintf("ip link set mtu %d up dev %s", a.MTU, a.Link)
	}
	return fmt.Sprintf("ip link set mtu %d dev %s", a.MTU, a.Link)
}

// Sysctl sets a kernel's variable, such as net.ipv4.conf.wg0.send_redirects.
// Dots within the name of a link are written as slashes, as sysctl(8) has it.
type Sysctl struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (a Sysctl) String() string { return "sysctl -q " + a.Key + "=" + a.Value }

// HoldSysctl sets a variable of the whole host's until the last tunnel that holds
// it has released it; then it gets back what it had.
type HoldSysctl struct {
	Link  string `json:"link"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Was   string `json:"was"` // when the plan was made
}

func (a HoldSysctl) String() string {
	if a.Was == a.Value { // held by another tunnel already
		return ""
	}
	return Sysctl{a.Key, a.Value}.String()
}

// ReleaseSysctl ends a tunnel's hold of a variable.
type ReleaseSysctl struct {
	Link string `json:"link"`
	Key  string `json:"key"`
}

func (a ReleaseSysctl) String() string { return "" }

// ClaimMark makes a mark, and the table of that number, this tunnel's among all
// of the network namespace. It fails with [ErrTaken] if another was faster.
type ClaimMark struct {
	Link string `json:"link"`
	Mark uint32 `json:"mark"`
}

func (a ClaimMark) String() string { return "" }

// ReleaseMark gives a mark back.
type ReleaseMark struct {
	Link string `json:"link"`
	Mark uint32 `json:"mark"`
}

func (a ReleaseMark) String() string { return "" }

// RemoveFile removes a file: what is left of one that was being written.
type RemoveFile struct {
	Path string `json:"path"`
}

func (a RemoveFile) String() string { return "rm -f " + a.Path }

// family is the option that ip has for an address's family.
func family(a netip.Addr) string {
	if a.Is4() {
		return "-4"
	}
	return "-6"
}
