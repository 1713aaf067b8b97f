package uapi

import (
	"bufio"
	"errors"
	"net/netip"
	"time"

	"vpn/noise/key"
)

// ParseSet reads the lines of a set request, those after `set=1`, up to and
// with the blank line that ends it.
//
// An error that is a [ParseError] is about the request; it has been read to its
// end, and r is at the next one. After any other error r is of no further use.
// The keys' text is zeroed in r's buffer as it is read.
func ParseSet(r *bufio.Reader) (*Config, error) {
	return parseSet(newLineReader(r))
}

func parseSet(lines *lineReader) (*Config, error) {
	p := setParser{config: new(Config)}
	for {
		line, err := lines.next()
		if errors.Is(err, errLineTooLong) {
			return p.fail(lines, "", errLineTooLong.Error(), EINVAL)
		}
		if err != nil {
			p.config.Erase()
			return nil, err
		}
		if len(line) == 0 {
			return p.config, nil
		}
		name, value, ok := cut(line)
		if !ok {
			return p.fail(lines, "", "not of the form key=value", EPROTO)
		}
		if reason := p.line(name, value); reason != "" {
			return p.fail(lines, shown(name), reason, EINVAL)
		}
	}
}

// setParser gathers one set request. Small values that the Config points to are
// taken from slabs, so that a peer costs next to no allocation.
type setParser struct {
	config *Config
	peer   *PeerConfig // nil before the first public_key

	prefixes   []AllowedIP     // in use up to its length; the peer's are the last
	first      int             // of the peer's in prefixes
	keepalives []uint16        // spare
	preshareds []key.Preshared // spare
}

// fail erases what was read and passes over the rest, so that the connection
// stays in step.
func (p *setParser) fail(lines *lineReader, name, reason string, errno Errno) (*Config, error) {
	p.config.Erase()
	problem := &ParseError{Line: lines.count, Key: name, Reason: reason, Errno: errno}
	if err := lines.skip(); err != nil {
		return nil, err
	}
	return nil, problem
}

// shown is a key's name if it can be one; whatever else stands there may be
// part of a secret.
func shown(name []byte) string {
	if len(name) > 32 {
		return ""
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && c != '_' {
			return ""
		}
	}
	return string(name)
}

// line takes in one line and returns what is wrong with it, or nothing.
func (p *setParser) line(name, value []byte) (reason string) {
	switch {
	case string(name) == "public_key":
		return p.publicKey(value)
	case p.peer == nil:
		return p.device(string(name), value)
	default:
		return p.peerLine(name, value)
	}
}

func (p *setParser) publicKey(value []byte) (reason string) {
	k, ok := parsePublic(value)
	if !ok {
		return notAKey
	}
	p.config.Peers = append(p.config.Peers, PeerConfig{PublicKey: k})
	p.peer = &p.config.Peers[len(p.config.Peers)-1]
	p.first = len(p.prefixes)
	return ""
}

func (p *setParser) device(name string, value []byte) (reason string) {
	c := p.config
	switch name {
	case "private_key":
		k, ok := parsePrivate(value)
		if !ok {
			return notAKey
		}
		if c.PrivateKey != nil {
			c.PrivateKey.Erase()
		}
		c.PrivateKey = &k
	case "listen_port":
		n, ok := parseUint(value, 1<<16-1)
		if !ok {
			return notPort
		}
		port := uint16(n)
		c.ListenPort = &port
	case "fwmark":
		n, ok := parseUint(value, 1<<32-1)
		if !ok {
			return notUint32
		}
		mark := uint32(n)
		c.FwMark = &mark
	case "replace_peers":
		return parseTrue(value, &c.ReplacePeers)
	case "rekey_after_time":
		n, ok := parseUint(value, uint64(MaxRekeyAfterTime/time.Second))
		if !ok {
			return notSeconds
		}
		d := time.Duration(n) * time.Second
		c.RekeyAfterTime = &d
	case "rekey_after_packets":
		n, ok := parseUint(value, MaxRekeyAfterPackets)
		if !ok {
			return notPackets
		}
		c.RekeyAfterPackets = &n
	default:
		return "no such key of the interface"
	}
	return ""
}

func (p *setParser) peerLine(name, value []byte) (reason string) {
	peer := p.peer
	switch string(name) { // compared without being copied
	case "remove":
		return parseTrue(value, &peer.Remove)
	case "update_only":
		return parseTrue(value, &peer.UpdateOnly)
	case "replace_allowed_ips":
		// Lines are applied in order: what was added before this goes too.
		p.prefixes = p.prefixes[:p.first]
		peer.AllowedIPs = nil
		return parseTrue(value, &peer.ReplaceAllowedIPs)
	case "preshared_key":
		return p.presharedKey(value)
	case "endpoint":
		a, ok := parseEndpoint(value)
		if !ok {
			return notEndpoint
		}
		peer.Endpoint = a
	case "candidate":
		return peer.addCandidate(value)
	case "persistent_keepalive_interval":
		n, ok := parseUint(value, 1<<16-1)
		if !ok {
			return notPort
		}
		p.setKeepalive(uint16(n))
	case "allowed_ip":
		return p.allowedIP(value)
	case "protocol_version":
		if string(value) != "1" {
			return "not 1"
		}
	default:
		return "no such key of a peer"
	}
	return ""
}

func parseTrue(value []byte, out *bool) (reason string) {
	if string(value) != "true" {
		return notTrue
	}
	*out = true
	return ""
}

// addCandidate takes one more candidate, or with an empty value makes it known
// that there are none.
func (p *PeerConfig) addCandidate(value []byte) (reason string) {
	if len(value) == 0 {
		p.Candidates = []netip.AddrPort{}
		return ""
	}
	a, ok := parseEndpoint(value)
	if !ok {
		return notEndpoint
	}
	p.Candidates = append(p.Candidates, a)
	return ""
}

// slab is how many small values are allocated at once.
const slab = 512

func (p *setParser) presharedKey(value []byte) (reason string) {
	k, ok := parsePreshared(value)
	if !ok {
		return notAKey
	}
	if p.peer.Preshared == nil {
		if len(p.preshareds) == 0 {
			p.preshareds = make([]key.Preshared, slab)
		}
		p.peer.Preshared = &p.preshareds[0]
		p.preshareds = p.preshareds[1:]
	}
	p.peer.Preshared.Erase() // of an earlier line
	*p.peer.Preshared = k
	return ""
}

func (p *setParser) setKeepalive(seconds uint16) {
	if p.peer.Keepalive == nil {
		if len(p.keepalives) == 0 {
			p.keepalives = make([]uint16, slab)
		}
		p.peer.Keepalive = &p.keepalives[0]
		p.keepalives = p.keepalives[1:]
	}
	*p.peer.Keepalive = seconds
}

func (p *setParser) allowedIP(value []byte) (reason string) {
	var a AllowedIP
	if len(value) > 0 && value[0] == '-' {
		a.Remove = true
		value = value[1:]
	}
	var ok bool
	if a.Prefix, ok = parsePrefix(value); !ok {
		return notPrefix
	}
	if len(p.prefixes) == cap(p.prefixes) {
		mine := p.prefixes[p.first:]
		p.prefixes = append(make([]AllowedIP, 0, max(slab, 2*len(mine))), mine...)
		p.first = 0
	}
	p.prefixes = append(p.prefixes, a)
	p.peer.AllowedIPs = p.prefixes[p.first:len(p.prefixes):len(p.prefixes)]
	return ""
}
