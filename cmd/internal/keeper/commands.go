package keeper

import (
	"fmt"
	"strings"

	"vpn/tunnel/uapi"
)

// commands are those that a person would type for a change of keys and peers. No
// key but public ones is in them.
func commands(link string, c *uapi.Config) []string {
	var all []string
	var own []string
	if c.PrivateKey != nil {
		own = append(own, "private-key (hidden)")
	}
	if c.ListenPort != nil {
		own = append(own, fmt.Sprintf("listen-port %d", *c.ListenPort))
	}
	if c.FwMark != nil {
		own = append(own, fmt.Sprintf("fwmark %d", *c.FwMark))
	}
	if len(own) > 0 {
		all = append(all, fmt.Sprintf("wg set %s %s", link, strings.Join(own, " ")))
	}
	if c.RekeyAfterTime != nil {
		all = append(all, fmt.Sprintf("# RekeyAfterTime = %d", int(c.RekeyAfterTime.Seconds())))
	}
	if c.RekeyAfterPackets != nil {
		all = append(all, fmt.Sprintf("# RekeyAfterPackets = %d", *c.RekeyAfterPackets))
	}
	for i := range c.Peers {
		all = append(all, fmt.Sprintf("wg set %s peer %v%s", link, c.Peers[i].PublicKey, peerWords(&c.Peers[i])))
	}
	return all
}

func peerWords(p *uapi.PeerConfig) string {
	if p.Remove {
		return " remove"
	}
	var b strings.Builder
	if p.Preshared != nil {
		b.WriteString(" preshared-key (hidden)")
	}
	if p.Endpoint.IsValid() {
		fmt.Fprintf(&b, " endpoint %v", p.Endpoint)
	}
	if p.Keepalive != nil {
		fmt.Fprintf(&b, " persistent-keepalive %d", *p.Keepalive)
	}
	if len(p.AllowedIPs) > 0 || p.ReplaceAllowedIPs {
		sign := "+"
		if p.ReplaceAllowedIPs {
			sign = ""
		}
		words := make([]string, len(p.AllowedIPs))
		for i, a := range p.AllowedIPs {
			words[i] = sign + a.Prefix.String()
		}
		list := strings.Join(words, ",")
		if list == "" {
			list = "''"
		}
		b.WriteString(" allowed-ips " + list)
	}
	return b.String()
}
