// Package hosttest holds the tests that do to real hosts what vpn/tun/host plans:
// network namespaces with files of their own, beside wg-quick, iproute2 and nft. It
// has no code to import.
package hosttest
