//go:build linux

package uptest

import (
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestCandidateThatNeverAnswers holds that an endpoint where nobody is costs
// nothing when another one is right: the first initiation went to all.
func TestCandidateThatNeverAnswers(t *testing.T) {
	for name, inPeer := range map[string][]string{
		"the first":  {"Endpoint = 192.168.77.254:" + port, "#vpn: Endpoint = " + gatewayOuter4 + ":" + port},
		"the second": {"Endpoint = " + gatewayOuter4 + ":" + port, "#vpn: Endpoint = 192.168.77.254:" + port},
		"by family":  {"Endpoint = 192.168.77.254:" + port, "#vpn: Endpoint = [" + gatewayOuter6 + "]:" + port},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testnet.WireGuardGo)
			c := testnet.NewCapture(w.outer)
			w.up("wg0", w.config(everything, nil, inPeer))
			w.through()
			initiations := map[string]int{}
			for _, m := range c.Messages() {
				if m.Outgoing && m.Type() == 1 {
					initiations[m.To.String()]++
				}
			}
			if len(initiations) != 2 {
				t.Errorf("initiations went to %v", initiations)
			}
			for to, n := range initiations {
				if n != 1 {
					t.Errorf("%d initiations went to %s", n, to)
				}
			}
			w.must("down", "wg0")
		})
	}
}

// TestCandidatesOfAName is a name with two addresses, of which one is nobody's.
func TestCandidatesOfAName(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.WriteFile("/etc/hosts", "192.168.77.254 gateway.example\n"+gatewayOuter4+" gateway.example\n", 0o644)
	w.up("wg0", w.config(everything, nil, []string{"Endpoint = gateway.example:" + port}))
	w.through()
	w.must("down", "wg0")
}
