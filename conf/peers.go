package conf

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"vpn/noise/key"
)

func (p *parser) privateKey(v value) {
	var wrong problem
	k, _ := key.DecodePrivate(func(out *[key.Size]byte) bool {
		wrong = readKey(v.text, out)
		return wrong.message == ""
	})
	if p.refused(v, "", wrong) {
		return
	}
	s := &p.iface().PrivateKey
	p.again(v, s.Given, s.Line)
	s.Value.Erase()
	*s = Setting[key.Private]{Value: k, Given: true, Line: v.line}
}

func (p *parser) presharedKey(v value) {
	var wrong problem
	k, _ := key.DecodePreshared(func(out *[key.Size]byte) bool {
		wrong = readKey(v.text, out)
		return wrong.message == ""
	})
	if p.refused(v, "", wrong) {
		return
	}
	s := &p.peer().Preshared
	p.again(v, s.Given, s.Line)
	s.Value.Erase()
	*s = Setting[key.Preshared]{Value: k, Given: true, Line: v.line}
}

func (p *parser) publicKey(v value) {
	var k key.Public
	// What stands here by mistake may be a private key: it isn't shown either.
	if p.refused(v, "", readKey(v.text, (*[key.Size]byte)(&k))) {
		return
	}
	s := &p.peer().PublicKey
	p.again(v, s.Given, s.Line)
	*s = Setting[key.Public]{Value: k, Given: true, Line: v.line}
}

func (p *parser) dns(v value) {
	i := p.iface()
	for _, item := range spaced(string(v.text)) {
		if isServer(item) {
			a, wrong := readServer(item)
			if !p.refused(v, item, wrong) {
				i.DNS = append(i.DNS, Setting[netip.Addr]{Value: a, Given: true, Line: v.line})
			}
			continue
		}
		d, wrong := readDomain(item)
		if !p.refused(v, item, wrong) {
			i.DNSSearch = append(i.DNSSearch, Setting[string]{Value: d, Given: true, Line: v.line})
		}
	}
}

// readEndpoint reads an endpoint, and warns of what works but should not.
func (p *parser) readEndpoint(v value) (Setting[Endpoint], bool) {
	text := string(v.text)
	e, wrong := readEndpoint(text)
	if p.refused(v, text, wrong) {
		return Setting[Endpoint]{}, false
	}
	switch {
	case e.Port == 0:
		p.warn(v.line, v.field, shown(text), "nothing can be sent to port 0", "give the port that the peer listens on, often 51820")
	case strings.Contains(e.Host, ":") && text[0] != '[':
		p.warn(v.line, v.field, shown(text), fmt.Sprintf("an IPv6 address should stand in brackets: [%s]:%d", e.Host, e.Port), "put brackets around it")
	}
	return Setting[Endpoint]{Value: e, Given: true, Line: v.line}, true
}

func (p *parser) endpoint(v value) {
	if e, ok := p.readEndpoint(v); ok {
		p.again(v, p.peer().Endpoint.Given, p.peer().Endpoint.Line)
		p.peer().Endpoint = e
	}
}

func (p *parser) publicEndpoint(v value) {
	if e, ok := p.readEndpoint(v); ok {
		s := &p.iface().PublicEndpoint
		p.again(v, s.Given, s.Line)
		*s = e
	}
}

func (p *parser) candidate(v value) {
	if e, ok := p.readEndpoint(v); ok {
		p.peer().Candidates = append(p.peer().Candidates, e)
	}
}

// allowedIPs reads a list that commas separate. A sign makes a prefix a change
// to what the peer has; as with `wg`, the last line decides for them all.
func (p *parser) allowedIPs(v value) {
	peer := p.peer()
	peer.Incremental = false
	for item := range strings.SplitSeq(string(v.text), ",") {
		item = strings.Trim(item, space)
		if item == "" {
			p.fail(v.line, v.field, shown(string(v.text)), "nothing between two commas, or before or after one", "")
			continue
		}
		text, remove := squeeze(item), false
		if text[0] == '+' || text[0] == '-' {
			peer.Incremental = true
			text, remove = text[1:], text[0] == '-'
		}
		prefix, wrong := readAddress(text)
		if strings.ContainsAny(item, space) {
			wrong.hint = "prefixes are separated by commas"
		}
		if !p.refused(v, item, wrong) {
			prefix = p.masked(v, item, prefix)
			peer.AllowedIPs = append(peer.AllowedIPs, AllowedIP{Prefix: prefix, Remove: remove, Line: v.line})
		}
	}
}

// masked takes the host bits off a prefix, and says so if there are any.
func (p *parser) masked(v value, item string, prefix netip.Prefix) netip.Prefix {
	m := prefix.Masked()
	if m != prefix {
		p.warn(v.line, v.field, shown(item), fmt.Sprintf("has host bits, which are masked: %v", m), "if one address is meant, write "+prefix.Addr().String())
	}
	return m
}

// plain makes a name of whatever somebody wrote for another program.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	const most = 255
	for len(s) > most {
		s = s[:len(s)-1]
	}
	return strings.Trim(strings.ToValidUTF8(s, ""), space)
}
