package show

import (
	"bytes"
	"fmt"
	"time"
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
	// Comments to wg, which prints none: they are there only if such a limit is.
	if i.RekeyAfterTime != 0 {
		fmt.Fprintf(b, "#vpn: RekeyAfterTime = %d\n", i.RekeyAfterTime/time.Second)
	}
	if i.RekeyAfterPackets != 0 {
		fmt.Fprintf(b, "#vpn: RekeyAfterPackets = %d\n", i.RekeyAfterPackets)
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
