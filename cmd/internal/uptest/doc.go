// Package uptest holds the tests of `vpn up` and what belongs to it, as a whole
// program in network and mount namespaces of its own, with what a user's host has
// around it: other links, a default route, a gateway that is somebody else's
// WireGuard. It has no code of its own to import.
package uptest
