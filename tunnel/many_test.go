package tunnel

import (
	"runtime"
	"testing"
	"unsafe"

	"vpn/tunnel/uapi"
)

// A peer is allocated in one of the sizes that Go's allocator has; the next one up is 240.
const _ = uint(224 - unsafe.Sizeof(Peer{}))

// TestMemoryOfPeers counts bytes on the heap: 20,000 peers with a prefix each may take 10 MB, and nothing once they are gone.
func TestMemoryOfPeers(t *testing.T) {
	const n, perPeer, perRemoved = 20_000, 512, 16
	for how, remove := range map[string]func(tunnel *Tunnel, c *uapi.Config) error{
		"all": func(tunnel *Tunnel, _ *uapi.Config) error { return tunnel.Set(&uapi.Config{ReplacePeers: true}) },
		"each": func(tunnel *Tunnel, c *uapi.Config) error {
			for i := range c.Peers {
				if err := tunnel.Set(&uapi.Config{Peers: []uapi.PeerConfig{{PublicKey: c.Peers[i].PublicKey, Remove: true}}}); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(how, func(t *testing.T) {
			tunnel, c := newIdle(t), manyPeers(n)
			before := heapInUse()
			if err := tunnel.Set(c); err != nil {
				t.Fatal(err)
			}
			if cost := int64(heapInUse()-before) / n; cost > perPeer {
				t.Errorf("a silent peer costs %d bytes", cost)
			}
			if err := remove(tunnel, c); err != nil {
				t.Fatal(err)
			}
			if cost := int64(heapInUse()-before) / n; cost > perRemoved {
				t.Errorf("a removed peer leaves %d bytes", cost)
			}
			runtime.KeepAlive(c)
			if len(tunnel.peers.all()) != 0 || tunnel.allowed.Len() != 0 {
				t.Error("some are left")
			}
		})
	}
}
