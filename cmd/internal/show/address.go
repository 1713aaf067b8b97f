package show

import (
	"net"
	"net/netip"
	"strconv"
)

// endpoint is the text of an address and port, or "(none)".
func endpoint(e netip.AddrPort) string {
	if !e.IsValid() {
		return none
	}
	port := strconv.Itoa(int(e.Port()))
	if e.Addr().Is4() {
		return e.Addr().String() + ":" + port
	}
	return "[" + address(e.Addr()) + "]:" + port
}

// address is the text of an address as the C library writes it. It differs
// from netip's for ::/96, whose last 32 bits are written as IPv4 (unless one of
// the two groups is zero), and for numeric zones, which are shown as the name
// of the interface if there is one.
func address(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	text := a.WithZone("").String()
	if b := a.As16(); [12]byte(b[:12]) == [12]byte{} && b[12]|b[13] != 0 {
		text = "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	if a.Zone() != "" {
		text += "%" + zone(a.Zone())
	}
	return text
}

func zone(z string) string {
	index, err := strconv.Atoi(z)
	if err != nil {
		return z
	}
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return z
	}
	return i.Name
}
