// Package statustest holds the tests of `vpn status` and of the control socket below it, with stock wireguard-go at the other end. It has
// no code of its own to import.
package statustest
