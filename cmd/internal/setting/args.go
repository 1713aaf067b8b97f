package setting

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// ErrUnexpected is returned for an argument that is not known where it stands.
var ErrUnexpected = errors.New("unexpected argument")

// FromArgs returns what the arguments of "set", those after the interface's
// name, ask for. Keys are read from the files that they name, and endpoints are
// asked of resolve. Warn is told of what is odd.
func FromArgs(ctx context.Context, args []string, resolve *Resolver, warn func(string)) (*uapi.Config, error) {
	p := &argParser{ctx: ctx, args: args, resolve: resolve, warn: warn}
	for len(p.args) > 0 {
		if err := p.next(); err != nil {
			p.config.Erase()
			return nil, err
		}
	}
	return &p.config, nil
}

type argParser struct {
	ctx     context.Context
	resolve *Resolver
	warn    func(string)

	args   []string // those to come
	config uapi.Config
}

// next takes one setting off the arguments.
func (p *argParser) next() error {
	word := p.args[0]
	peer := p.peer()
	p.args = p.args[1:]
	if word == "remove" && peer != nil {
		peer.Remove = true
		return nil
	}
	set := p.setter(word, peer)
	if set == nil {
		return fmt.Errorf("%w %q", ErrUnexpected, word)
	}
	if len(p.args) == 0 {
		return fmt.Errorf("%s: its value is missing", word)
	}
	value := p.args[0]
	p.args = p.args[1:]
	if err := set(value); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return nil
}

// peer is the peer that settings are about, nil while they are about the
// interface.
func (p *argParser) peer() *uapi.PeerConfig {
	if len(p.config.Peers) == 0 {
		return nil
	}
	return &p.config.Peers[len(p.config.Peers)-1]
}

// setter returns what takes the value of a setting, nil if there is no such
// setting here. Settings of the interface come before the first peer.
func (p *argParser) setter(word string, peer *uapi.PeerConfig) func(value string) error {
	if word == "peer" {
		return p.addPeer
	}
	if peer == nil {
		switch word {
		case "listen-port":
			return into(&p.config.ListenPort, parsePort)
		case "fwmark":
			return into(&p.config.FwMark, parseMark)
		case "private-key":
			return into(&p.config.PrivateKey, ReadPrivateFile)
		}
		return nil
	}
	switch word {
	case "preshared-key":
		return into(&peer.Preshared, ReadPresharedFile)
	case "persistent-keepalive":
		return into(&peer.Keepalive, parseKeepalive)
	case "endpoint":
		return func(value string) error { return p.setEndpoint(peer, value) }
	case "allowed-ips":
		return func(value string) error { return p.setAllowedIPs(peer, value) }
	}
	return nil
}

func into[T any](to **T, parse func(string) (T, error)) func(string) error {
	return func(value string) error {
		v, err := parse(value)
		if err == nil {
			*to = &v
		}
		return err
	}
}

func (p *argParser) addPeer(value string) error {
	k, err := key.ParsePublic(value)
	if err != nil {
		return err
	}
	p.config.Peers = append(p.config.Peers, uapi.PeerConfig{PublicKey: k})
	return nil
}

func (p *argParser) setEndpoint(peer *uapi.PeerConfig, value string) error {
	e, err := parseEndpoint(value)
	if err == nil {
		peer.Endpoint, err = p.resolve.Resolve(p.ctx, e)
	}
	return err
}

// setAllowedIPs takes a list of prefixes that replaces the peer's own; or, with
// + or - before them, changes it. Of several lists the last decides which, as
// in a file.
func (p *argParser) setAllowedIPs(peer *uapi.PeerConfig, value string) error {
	peer.ReplaceAllowedIPs = true
	if value == "" {
		return nil
	}
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		remove := strings.HasPrefix(item, "-")
		if remove || strings.HasPrefix(item, "+") {
			peer.ReplaceAllowedIPs = false
			item = item[1:]
		}
		prefix, err := parsePrefix(item)
		if err != nil {
			return err
		}
		if prefix != prefix.Masked() {
			p.warn(fmt.Sprintf("allowed-ips %q: taken as %s: the bits after the prefix are not zero", item, prefix.Masked()))
		}
		peer.AllowedIPs = append(peer.AllowedIPs, uapi.AllowedIP{Prefix: prefix.Masked(), Remove: remove})
	}
	return nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port from 0 to 65535", s)
	}
	return uint16(n), nil
}

func parseMark(s string) (uint32, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	digits, base := s, 10
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is neither off nor a number of 32 bits", s)
	}
	return uint32(n), nil
}

func parseKeepalive(s string) (uint16, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is neither off nor a number of seconds up to 65535", s)
	}
	return uint16(n), nil
}

// parseEndpoint parses HOST:PORT. An IPv6 address is in brackets; without them
// the last colon is the one before the port, as with wg.
func parseEndpoint(s string) (conf.Endpoint, error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return conf.Endpoint{}, fmt.Errorf("%q has no port", s)
	}
	host := s[:colon]
	if strings.HasPrefix(host, "[") != strings.HasSuffix(host, "]") {
		return conf.Endpoint{}, fmt.Errorf("%q has one bracket", s)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" {
		return conf.Endpoint{}, fmt.Errorf("%q has no host", s)
	}
	port, err := parsePort(s[colon+1:])
	if err != nil {
		return conf.Endpoint{}, err
	}
	return conf.Endpoint{Host: host, Port: port}, nil
}

// parsePrefix parses a prefix, or an address, which stands for itself alone.
// Host bits are left as they are.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%q is not an address with a prefix length", s)
		}
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
