// Package dnstest holds the tests of tun/host/dns that need a host of their own: a
// real systemd-resolved, a real openresolv, and an /etc/resolv.conf to change. It
// has no code of its own to import.
package dnstest
