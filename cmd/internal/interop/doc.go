// Package interop holds the tests of the whole program in network namespaces:
// `vpn device` against itself and against wireguard-go. It has no code of its
// own to import.
package interop
