// Package keeper is the privileged process of `vpn run`: it does a link's work on
// the host, holds what outlives an engine - the link, the UDP sockets, the control
// socket - and keeps an engine running on them.
//
// [Run] is its whole life. All that it does to the host or to the engine happens
// on one goroutine, one thing after another; whoever wants something done, be it a
// signal, a request on the control socket or the end of the engine, hands it to
// that goroutine. What a journal lists outlives the keeper, and [Clean] undoes it
// where none is left.
//
// [Dial] connects to the keeper of a link: requests are HTTP over a socket that
// only root can reach, answers are JSON, a [Message] a line.
package keeper

// Files of a link below [host.RunDir].
const (
	lockFile        = "lock"
	configFile      = "config"      // what is in force: the text as it was loaded
	unconfirmedFile = "unconfirmed" // and what will be, once a reload is kept
	hookFile        = "hook"        // which hook runs
	crashFile       = "crash"       // why the keeper has crashed, if it has
	engineFile      = "engine"      // what the engine had last
)

// addressesFile is the file below [host.LibDir] of what endpoint names were last.
const addressesFile = "addresses"
