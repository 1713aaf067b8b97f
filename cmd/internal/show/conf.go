package show

import (
	"bytes"
	"fmt"
)

// Conf appends an interface's configuration to b as a file that "setconf"
// takes. It holds the keys themselves.
func Conf(b *bytes.Buffer, i Interface) {
	b.WriteString("[Interface]\n")
	if i.ListenPort != 0 {
		fmt.Fprintf(b, "ListenPort = %d\n", i.ListenPort)
	}
	if i.FwMark != 0 {
		fmt.Fprintf(b, "FwMark = 0x%x\n", i.FwMark)
	}
	if !i.PrivateKey.IsZero() {
		fmt.Fprintf(b, "PrivateKey = %s\n", i.PrivateKey.Base64())
	}
	b.WriteByte('\n')
	for n := range i.Peers {
		peer := &i.Peers[n]
		if n > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "[Peer]\nPublicKey = %s\n", peer.PublicKey)
		if !peer.Preshared.IsZero() {
			fmt.Fprintf(b, "PresharedKey = %s\n", peer.Preshared.Base64())
		}
		if len(peer.AllowedIPs) > 0 {
			fmt.Fprintf(b, "AllowedIPs = %s\n", prefixes(peer.AllowedIPs, ", "))
		}
		if peer.Endpoint.IsValid() {
			fmt.Fprintf(b, "Endpoint = %s\n", endpoint(peer.Endpoint))
		}
		if peer.Keepalive != 0 {
			fmt.Fprintf(b, "PersistentKeepalive = %d\n", peer.Keepalive)
		}
	}
}
