// Package lookup turns the names of endpoints into addresses, for as long as an
// interface is up and without ever holding it up: a [Resolver] asks the servers
// that it is told, by sockets that carry the tunnel's mark, and a [Scheduler]
// asks for all names of a configuration, again and again where there is no
// answer, and hands out lists of candidates for each peer.
//
// The last addresses of each name are kept in a file, for the time after a boot
// when no server answers yet.
package lookup
