// Bench measures this program beside wireguard-go on one machine, alternating:
// run it by scripts/bench, as root. It builds both, joins two network namespaces
// by a veth pair, puts a daemon into each and reports medians and ratios. It
// takes about ten minutes, --quick one, and leaves nothing behind.
//
// Others can be put beside them: --peer 'name=command %i', a program that makes
// the device named for %i, stays in the foreground, and answers the
// cross-platform configuration protocol.
package main
