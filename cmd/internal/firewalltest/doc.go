// Package firewalltest holds the tests of tun/host/firewall that send packets: what
// has to pass a gateway's tables passes, and what must not does not. It has no code
// of its own to import.
package firewalltest
