// Package show prints what interfaces answer, byte for byte as "wg show" and
// "wg showconf" do, so that scripts read either.
//
// Every function writes to a buffer that it is given and can't fail.
package show

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// An Interface is a device's answer under the name that was asked.
type Interface struct {
	Name string
	*uapi.Device
}

const (
	none = "(none)"
	off  = "off"
)

// fields are the words of "wg show NAME FIELD" and what each prints. A line of
// a field about peers begins with the peer's public key.
var fields = []struct {
	name  string
	print func(p *printer, i Interface)
}{
	{"public-key", func(p *printer, i Interface) { p.line(publicKey(i.PublicKey)) }},
	{"private-key", func(p *printer, i Interface) { p.line(privateKey(&i.PrivateKey)) }},
	{"listen-port", func(p *printer, i Interface) { p.line(decimal(i.ListenPort)) }},
	{"fwmark", func(p *printer, i Interface) { p.line(mark(i.FwMark)) }},
	{"peers", func(p *printer, i Interface) {
		for _, peer := range i.Peers {
			p.line(peer.PublicKey.String())
		}
	}},
	{"preshared-keys", eachPeer(func(peer *uapi.Peer) []string { return []string{presharedKey(&peer.Preshared)} })},
	{"endpoints", endpoints},
	{"allowed-ips", eachPeer(func(peer *uapi.Peer) []string { return []string{prefixes(peer.AllowedIPs, " ")} })},
	{"latest-handshakes", eachPeer(func(peer *uapi.Peer) []string { return []string{unix(peer.LastHandshake)} })},
	{"transfer", eachPeer(func(peer *uapi.Peer) []string { return []string{decimal(peer.Rx), decimal(peer.Tx)} })},
	{"persistent-keepalive", eachPeer(func(peer *uapi.Peer) []string { return []string{keepalive(peer.Keepalive)} })},
	{"dump", dump},
}

// Fields lists the names of what Field prints, in wg's order.
func Fields() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

// Field appends one field of an interface to b in the form for scripts: values
// between tabs, with the interface's name first if named is set. It reports
// whether there is such a field.
func Field(b *bytes.Buffer, i Interface, name string, named bool) bool {
	for _, f := range fields {
		if f.name != name {
			continue
		}
		p := &printer{b: b}
		if named {
			p.prefix = i.Name + "\t"
		}
		f.print(p, i)
		return true
	}
	return false
}

// A printer writes lines of values between tabs, each behind the same prefix.
type printer struct {
	b      *bytes.Buffer
	prefix string
}

func (p *printer) line(values ...string) {
	p.b.WriteString(p.prefix)
	for i, v := range values {
		if i > 0 {
			p.b.WriteByte('\t')
		}
		p.b.WriteString(v)
	}
	p.b.WriteByte('\n')
}

func eachPeer(values func(*uapi.Peer) []string) func(*printer, Interface) {
	return func(p *printer, i Interface) {
		for n := range i.Peers {
			peer := &i.Peers[n]
			p.line(append([]string{peer.PublicKey.String()}, values(peer)...)...)
		}
	}
}

// endpoints writes the interface's name once before all its peers, and no line
// end after it where there are none: wg does, and scripts have adapted to it.
func endpoints(p *printer, i Interface) {
	p.b.WriteString(p.prefix)
	p.prefix = ""
	eachPeer(func(peer *uapi.Peer) []string { return []string{endpoint(peer.Endpoint)} })(p, i)
}

func dump(p *printer, i Interface) {
	p.line(privateKey(&i.PrivateKey), publicKey(i.PublicKey), decimal(i.ListenPort), mark(i.FwMark))
	for n := range i.Peers {
		peer := &i.Peers[n]
		p.line(peer.PublicKey.String(), presharedKey(&peer.Preshared), endpoint(peer.Endpoint), prefixes(peer.AllowedIPs, ","),
			unix(peer.LastHandshake), decimal(peer.Rx), decimal(peer.Tx), keepalive(peer.Keepalive))
	}
}

func publicKey(k key.Public) string {
	if k.IsZero() {
		return none
	}
	return k.String()
}

func privateKey(k *key.Private) string {
	if k.IsZero() {
		return none
	}
	return k.Base64()
}

func presharedKey(k *key.Preshared) string {
	if k.IsZero() {
		return none
	}
	return k.Base64()
}

func decimal[N uint16 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }

func mark(m uint32) string {
	if m == 0 {
		return off
	}
	return fmt.Sprintf("0x%x", m)
}

func keepalive(seconds uint16) string {
	if seconds == 0 {
		return off
	}
	return decimal(seconds)
}

func unix(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.Unix(), 10)
}

func prefixes(ps []netip.Prefix, between string) string {
	if len(ps) == 0 {
		return none
	}
	var b bytes.Buffer
	for i, p := range ps {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(prefixText(p))
	}
	return b.String()
}

func prefixText(p netip.Prefix) string { return address(p.Addr()) + "/" + strconv.Itoa(p.Bits()) }
