// Package host makes a link useful to the host that it is on: addresses, routes,
// policy rules, DNS, firewall, what else wg-quick does and what it should do.
//
// It works in three parts, each of which knows nothing of the next:
//
//   - [Read] takes down what the host is like: a [State].
//   - [Up] and [Reload] make of a config and a state a [Plan]: a list of steps,
//     each an [Action] and what takes it back. They are pure. An action is a small
//     value that can be kept as JSON, and its String is the command that a person
//     would have typed.
//   - [Apply] and [Undo] do it over netlink, nftables and D-Bus. Before a step is
//     done its undo is in a [Journal], so that whoever comes after a crash can put
//     the host back, whatever became of the file, the link and the daemon.
//
// What only the holder of the link can do - open it, give it keys, run hooks - is
// its [Owner]'s. What something else takes away from the host is found by
// [Missing], when a [Watcher] tells to look.
//
// All work happens in the network namespace of the calling thread.
package host

import "path/filepath"

// Where things lie. Each is its owner's alone (0700).
const (
	RunDir = "/run/vpn"     // what a reboot ends; in it a folder for each link
	LibDir = "/var/lib/vpn" // what outlives it; the same
)

// Protocol is the routing protocol's number that our routes and rules carry, so
// that others can tell them from their own (`ip route show proto 86`).
const Protocol = 86

// RunPath returns where a file of that name of a link lies below RunDir.
func RunPath(link, file string) string { return filepath.Join(RunDir, link, file) }

// LibPath returns where a file of that name of a link lies below LibDir.
func LibPath(link, file string) string { return filepath.Join(LibDir, link, file) }
