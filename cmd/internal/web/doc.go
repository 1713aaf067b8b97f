// Package web is `vpn web`: one page that shows what happens on a host's WireGuard interfaces, for as long as it is asked for.
//
// It asks the interfaces through package gather, as `vpn status` does, and changes nothing. A [Watch] samples them and keeps the hour that
// the page plots: no interface keeps anything for it, and what a Watch keeps is bounded. A [Server] answers a browser: with the page's
// own files, which hold no secret, and with a view, which does, and which takes the token of the address.
//
// The page asks once a second for what it shows and no more: of however many peers, the rows that are in sight.
package web

import "time"

const (
	hour = time.Hour

	// An interface is plotted in steps of 5 s, each of its peers in steps of 30 s: 1 KB of memory for a peer that has talked.
	linkStep = 5 * time.Second
	peerStep = 30 * time.Second

	// maxPlots is how many peers of an interface have a plot, and maxSessions how many sessions it remembers, the last of all its peers.
	maxPlots    = 16384
	maxSessions = 32768

	// How often an interface is asked: while somebody looks, and otherwise. An answer that took long makes the pause longer, up to a point,
	// so that watching takes a tenth of the time at most.
	attentive = time.Second
	patient   = 5 * time.Second
	longest   = 10 * time.Second
	share     = 10
	// looking is for how long a view counts as somebody who looks, and everyPeer how often all peers are asked about, not only who has talked.
	looking   = 5 * time.Second
	everyPeer = 30 * time.Second

	// few peers are asked about with their last events each time, so that the list says why one is silent; of many only the one shown is.
	few       = 500
	fewEvents = 8
)
