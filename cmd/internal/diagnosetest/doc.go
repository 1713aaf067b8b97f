// Package diagnosetest provokes each verdict of `vpn diagnose` in network namespaces, with stock wireguard-go at the other end. It has no
// code of its own to import.
package diagnosetest
