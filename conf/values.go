package conf

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// problem is what is wrong with a value. The zero value is nothing.
type problem struct{ message, hint string }

func bad(message string) problem { return problem{message: message} }

// squeeze removes all white space, as `wg` does before it looks at anything.
func squeeze(s string) string {
	if !strings.ContainsAny(s, space) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(space, r) {
			return -1
		}
		return r
	}, s)
}

// digits reads a decimal number, with zeros before it if it has any.
func digits(s string, limit uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64) // takes no sign and no underscore
	return n, err == nil && n <= limit
}

// anyBase reads a number as ip does: decimal, 0x, or octal with a zero.
func anyBase(s string, limit uint64) (uint64, bool) {
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		s, base = hex, 16
	} else if len(s) > 1 && s[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil && n <= limit
}

// readPort takes a service's name too, as `wg` does.
func readPort(s string) (uint16, problem) {
	s = squeeze(s)
	if n, ok := digits(s, 1<<16-1); ok {
		return uint16(n), problem{}
	}
	if unicode.IsLetter(rune(s[0])) {
		if n, err := net.LookupPort("udp", s); err == nil {
			return uint16(n), problem{}
		}
	}
	return 0, bad("not a port from 0 to 65535")
}

func readMark(s string) (uint32, problem) {
	s = squeeze(s)
	if strings.EqualFold(s, "off") {
		return 0, problem{}
	}
	n, ok := digits(s, 1<<32-1)
	if hex, is := strings.CutPrefix(s, "0x"); is {
		var err error
		n, err = strconv.ParseUint(hex, 16, 32)
		ok = err == nil
	}
	if !ok {
		return 0, bad("not off, nor a number from 0 to 0xffffffff")
	}
	return uint32(n), problem{}
}

func readKeepalive(s string) (uint16, problem) {
	s = squeeze(s)
	if strings.EqualFold(s, "off") {
		return 0, problem{}
	}
	n, ok := digits(s, 1<<16-1)
	if !ok {
		return 0, bad("not off, nor a number of seconds from 0 to 65535")
	}
	return uint16(n), problem{}
}

// readMTU has the bounds of a TUN device.
func readMTU(s string) (int, problem) {
	n, ok := anyBase(s, 1<<16-1)
	if !ok || n < 68 {
		return 0, bad("not an MTU from 68 to 65535")
	}
	return int(n), problem{}
}

func readTable(s string) (Table, problem) {
	switch strings.ToLower(s) {
	case "auto":
		return Table{}, problem{}
	case "off":
		return Table{Kind: TableOff}, problem{}
	}
	if s[0] >= '0' && s[0] <= '9' || s[0] == '-' || s[0] == '+' {
		n, ok := anyBase(s, 1<<32-1)
		if !ok {
			return Table{}, bad("not a table number from 0 to 4294967295")
		}
		return Table{Kind: TableNumber, Number: uint32(n)}, problem{}
	}
	if strings.ContainsAny(s, space+"/,\x00") {
		return Table{}, bad("not auto, off, a number, or the name of a table")
	}
	return Table{Kind: TableName, Name: s}, problem{}
}

func readBool(s string) (bool, problem) {
	switch strings.ToLower(s) {
	case "true":
		return true, problem{}
	case "false":
		return false, problem{}
	}
	return false, bad("neither true nor false")
}

func readSwitch(s string) (bool, problem) {
	switch strings.ToLower(s) {
	case "on", "true":
		return true, problem{}
	case "off", "false":
		return false, problem{}
	}
	return false, bad("neither on nor off")
}

// readOutLink reads the name of a link as the kernel takes one, or off.
func readOutLink(s string) (string, problem) {
	const most = 15 // IFNAMSIZ, less its zero
	switch strings.ToLower(s) {
	case "off":
		return "", problem{}
	case "on", "true", "false":
		return "", problem{"not the name of a link", "name the link that packets leave by, as in eth0; or write off"}
	}
	if len(s) > most || s == "." || s == ".." || strings.ContainsAny(s, space+"/:,") || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", bad("not the name of a link, nor off")
	}
	return s, problem{}
}

// The protocol's own limits on a session, which may be lowered but not raised.
const (
	maxRekeyAfterTime    = 120 * time.Second
	maxRekeyAfterPackets = 1 << 60
)

func readSeconds(s string) (time.Duration, problem) {
	n, ok := digits(strings.TrimSuffix(s, "s"), 1<<32)
	switch d := time.Duration(n) * time.Second; {
	case !ok || n == 0:
		return 0, bad("not a number of seconds from 1 to 120")
	case d > maxRekeyAfterTime:
		return 0, problem{"longer than the protocol's own 120 seconds", "the limit can only be lowered"}
	default:
		return d, problem{}
	}
}

func readPackets(s string) (uint64, problem) {
	n, ok := digits(s, 1<<64-1)
	switch {
	case !ok || n == 0:
		return 0, bad("not a number of packets from 1 to 2^60")
	case n > maxRekeyAfterPackets:
		return 0, problem{"more than the protocol's own 2^60 packets", "the limit can only be lowered"}
	}
	return n, problem{}
}

// readAddress reads an address with or without a prefix length, and does not
// mask it.
func readAddress(s string) (netip.Prefix, problem) {
	address, length, given := strings.Cut(s, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, bad("not an IP address")
	}
	if !given {
		return netip.PrefixFrom(a, a.BitLen()), problem{}
	}
	n, ok := digits(length, 1<<16)
	if !ok {
		p := bad("not a prefix length after the slash")
		if m, err := netip.ParseAddr(length); err == nil && m.Is4() {
			p.hint = "write the mask as the number of its ones: 255.255.255.0 is /24"
		}
		return netip.Prefix{}, p
	}
	if int(n) > a.BitLen() {
		return netip.Prefix{}, bad("prefix length exceeds " + strconv.Itoa(a.BitLen()))
	}
	return netip.PrefixFrom(a, int(n)), problem{}
}

// readLinkAddress reads what `ip address add` takes: the mask may be dotted.
func readLinkAddress(s string) (netip.Prefix, problem) {
	address, length, _ := strings.Cut(s, "/")
	if m, err := netip.ParseAddr(length); err == nil && m.Is4() {
		b := m.As4()
		ones, bits := net.IPMask(b[:]).Size()
		if bits == 0 {
			return netip.Prefix{}, bad("not a mask after the slash")
		}
		s = address + "/" + strconv.Itoa(ones)
	}
	return readAddress(s)
}

func readServer(s string) (netip.Addr, problem) {
	a, err := netip.ParseAddr(s)
	if err == nil && !strings.ContainsFunc(a.Zone(), func(r rune) bool { return !isNameRune(r) }) {
		return a, problem{}
	}
	p := bad("not an IP address")
	if _, err := netip.ParseAddrPort(s); err == nil {
		p.hint = "a DNS server is given without a port"
	}
	return a, p
}

// isServer is wg-quick's rule for which entries of DNS are servers.
func isServer(s string) bool {
	return strings.Contains(s, ":") || strings.Trim(s, "0123456789.") == ""
}

func readDomain(s string) (string, problem) {
	if len(s) > 254 || strings.ContainsAny(s, space+"/\\\"'`$();&|<>\x00") {
		return "", bad("not a domain")
	}
	return s, problem{}
}

// readEndpoint reads host:port and [address]:port; without the brackets, as
// with `wg`, the last colon is the port's.
func readEndpoint(s string) (Endpoint, problem) {
	s = squeeze(s)
	noPort := problem{"no port", "add it after a colon, as in vpn.example.com:51820"}
	var host, port string
	if rest, ok := strings.CutPrefix(s, "["); ok {
		var closed bool
		host, port, closed = strings.Cut(rest, "]")
		if !closed {
			return Endpoint{}, bad("no closing bracket")
		}
		if port, ok = strings.CutPrefix(port, ":"); !ok || port == "" {
			return Endpoint{}, noPort
		}
	} else {
		i := strings.LastIndexByte(s, ':')
		if i < 0 || i == len(s)-1 {
			return Endpoint{}, noPort
		}
		host, port = s[:i], s[i+1:]
	}
	if host == "" {
		return Endpoint{}, bad("no host")
	}
	if !isHost(host) {
		return Endpoint{}, bad("not a host's name or address before the port")
	}
	n, p := readPort(port)
	return Endpoint{host, n}, p
}

// isHost leaves what a name may look like to the resolver, but keeps out what
// neither a name nor an address can have in it.
func isHost(s string) bool {
	if address, zone, _ := strings.Cut(s, "%"); strings.Contains(address, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil && !strings.ContainsFunc(zone, func(r rune) bool { return !isNameRune(r) })
	}
	return utf8.ValidString(s) && !strings.ContainsAny(s, "/\\[]@,;\"'`$(){}<>|&*?!=") &&
		!strings.ContainsFunc(s, unicode.IsControl)
}

// isNameRune is what an interface's name is made of.
func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_=+.-", r)
}

func readName(s string) (string, problem) {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 255 {
		return "", bad("not a name: at most 255 bytes of plain UTF-8")
	}
	return s, problem{}
}

// readTime reads a day, which stands for its begin in UTC, or a day and a time
// with its zone.
func readTime(s string) (time.Time, problem) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil || t.Nanosecond() != 0 || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
		return time.Time{}, problem{"neither a day nor a day and a time", "write it as in 2030-12-31 or 2030-12-31T18:00:00Z"}
	}
	return t.UTC(), problem{}
}

// readKeyFile reads a path, or credential:NAME.
func readKeyFile(s string) (string, problem) {
	name, isCredential := strings.CutPrefix(s, "credential:")
	switch {
	case looksSecret(s):
		return "", problem{"a key, and not the name of a file", "to have the key in this file, use the setting without File"}
	case isCredential && (name == "" || strings.ContainsAny(name, "/"+space)):
		return "", bad("not the name of a credential")
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", bad("not the name of a file")
	}
	return s, problem{}
}

// ParseEndpoint reads an endpoint as a file has it.
func ParseEndpoint(s string) (Endpoint, error) {
	e, wrong := readEndpoint(s)
	if wrong.message != "" {
		return Endpoint{}, fmt.Errorf("%q: %s", shown(s), wrong.message)
	}
	return e, nil
}
