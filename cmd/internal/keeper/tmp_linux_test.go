package keeper_test

import (
	"testing"
	"fmt"
	"os"

	"vpn/cmd/internal/testnet"
)

func TestTmp(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\nPostDown = touch /run/gone", w.b.endpoint()+"\n"+fullTunnel))
	for range 3 {
	for _, command := range []string{"ip link delete wg0", "rm /run/wireguard/wg0.sock"} {
		w.a.do("up", "wg0")
		w.a.MustRun("sh", "-c", command)
		testnet.Until(t, "its processes end", func() bool {
		n := len(w.a.Processes())
		if n > 0 { fmt.Fprintln(os.Stderr, command, w.a.Processes()) 
		for _, p := range w.a.Processes() { x, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p)); fmt.Fprintf(os.Stderr, "%q ", x) 
		x, _ = os.ReadFile(fmt.Sprintf("/proc/%d/wchan", p)); fmt.Fprintf(os.Stderr, "%s\n", x) }
		}
		return n == 0 })
	}
	}
}
