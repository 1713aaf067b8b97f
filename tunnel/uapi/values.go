package uapi

import (
	"encoding/hex"
	"net/netip"
	"strconv"

	"vpn/noise/key"
)

const (
	notAKey     = "not a key of 64 hexadecimal digits"
	notTrue     = "not true"
	notPort     = "not a number from 0 to 65535"
	notUint32   = "not a number from 0 to 4294967295"
	notSeconds  = "not a number of seconds from 0 to 120"
	notPackets  = "not a number from 0 to 2^60"
	notNumber   = "not a number"
	notPrefix   = "not an address with a prefix length"
	notEndpoint = "not address:port or [address]:port"
)

// parseHex reads a key into out.
func parseHex(value []byte, out *[key.Size]byte) bool {
	if len(value) != hex.EncodedLen(key.Size) {
		return false
	}
	_, err := hex.Decode(out[:], value)
	return err == nil
}

func parsePublic(value []byte) (k key.Public, ok bool) {
	ok = parseHex(value, (*[key.Size]byte)(&k))
	return k, ok
}

func parsePrivate(value []byte) (key.Private, bool) {
	return key.DecodePrivate(func(out *[key.Size]byte) bool { return parseHex(value, out) })
}

func parsePreshared(value []byte) (key.Preshared, bool) {
	return key.DecodePreshared(func(out *[key.Size]byte) bool { return parseHex(value, out) })
}

// parseUint reads decimal digits and nothing else.
func parseUint(value []byte, limit uint64) (n uint64, ok bool) {
	if len(value) == 0 {
		return 0, false
	}
	for _, c := range value {
		d := uint64(c - '0')
		if c < '0' || c > '9' || d > limit || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// parsePrefix reads ADDRESS/LENGTH and masks it.
func parsePrefix(value []byte) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(string(value))
	if err != nil {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// parseEndpoint reads ADDRESS:PORT, where an IPv6 address stands in brackets
// and may have a zone. An IPv4 address written as an IPv6 one is an IPv4 one.
func parseEndpoint(value []byte) (netip.AddrPort, bool) {
	a, err := netip.ParseAddrPort(string(value))
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}

func appendUint(b []byte, name string, n uint64) []byte {
	b = append(b, name...)
	b = strconv.AppendUint(b, n, 10)
	return append(b, '\n')
}

func appendPublic(b []byte, k *key.Public) []byte {
	b = append(b, "public_key="...)
	b = hex.AppendEncode(b, k[:])
	return append(b, '\n')
}

func appendEndpoint(b []byte, a netip.AddrPort) []byte {
	b = append(b, "endpoint="...)
	b = a.AppendTo(b)
	return append(b, '\n')
}
