// Package metrics tells Prometheus of all WireGuard interfaces of a host. [Collector] asks them, and [Serve] answers scrapes.
//
// What other exporters tell as well has the names that they use, so that their dashboards work; what only this program knows begins with
// vpn_. The table in families.go describes each.
//
// The number of series is bounded. Of each interface so many peers have series of their own as [Config] says: all, while the interface has
// no more; else those that were seen to talk first, which keep theirs for as long as they are configured. The rest are added up, under
// public_key="other". Those that never talked add nothing, and aren't even asked for. So a sum over an interface's peers is right however
// many there are, and no counter ever goes back because a peer went from one side to the other.
//
// The text is written by hand: the client library would add an eighth to the program, and most of a millisecond to
// the start of every command.
package metrics
