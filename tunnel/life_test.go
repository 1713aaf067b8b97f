package tunnel

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// Every test in a world fails if a goroutine is left at its end. Those in this file end engines at the worst moments.

func TestCloseAtOnce(t *testing.T) {
	for name, script := range map[string]func(a *host){
		"never up":      func(*host) {},
		"up, no key":    func(a *host) { a.device.events <- tun.Up },
		"key, never up": func(a *host) { _ = a.Set(&uapi.Config{PrivateKey: &a.private}) },
		"both": func(a *host) {
			_ = a.Set(&uapi.Config{PrivateKey: &a.private})
			a.device.events <- tun.Up
		},
		"device gone first": func(a *host) { a.device.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.newSilentHost()
				script(a)
				var closing sync.WaitGroup
				for range 3 {
					closing.Go(func() {
						if err := a.Close(); err != nil {
							t.Error(err)
						}
					})
				}
				closing.Wait()
				<-a.Done()
				if a.Close() != nil || a.Set(&uapi.Config{}) == nil {
					t.Error("Close fails, or Set succeeds, after the end")
				}
				a.wantKeys(0)
			})
		})
	}
}

func TestCloseInTraffic(t *testing.T) {
	for i := range 20 {
		inWorld(t, func(t *testing.T, w *world) {
			a, b := w.newPair()
			w.latency = time.Duration(i%2) * time.Millisecond
			var traffic sync.WaitGroup
			for _, pair := range [][2]*host{{a, b}, {b, a}} {
				traffic.Go(func() {
					for range 200 {
						pair[0].put(pair[0].packetTo(pair[1]))
					}
				})
			}
			if i%3 == 0 {
				w.wait()
			}
			traffic.Go(func() { a.Close() })
			traffic.Go(func() { b.device.Close() })
			traffic.Wait()
			<-b.Done()
			a.wantKeys(0)
			b.wantKeys(0)
		})
	}
}

// TestChurn has everything happen at once: traffic, links that go down and up, peers removed and added, keys changed.
func TestChurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const hosts, rounds = 4, 150
		all := make([]*host, hosts)
		for i := range all {
			all[i] = w.newHost()
		}
		meet := func(h *host) {
			for _, o := range all {
				if o != h {
					if err := h.Set(peers(o.asPeer(o.outer4()))); err != nil {
						t.Error(err)
					}
				}
			}
		}
		for _, h := range all {
			meet(h)
		}
		var churn sync.WaitGroup
		for i, h := range all {
			churn.Go(func() {
				for range rounds {
					for range rand.IntN(20) {
						h.put(h.packetTo(all[rand.IntN(hosts)]))
					}
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond) //nolint:forbidigo // the bubble's time
				}
			})
			churn.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 1))
				for range rounds {
					h.disturb(random, all)
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond) //nolint:forbidigo // the bubble's time
				}
			})
		}
		churn.Wait()
		for _, h := range all {
			h.set(&uapi.Config{PrivateKey: &h.private, ReplacePeers: true, RekeyAfterPackets: new(uint64)})
			meet(h)
			h.link(tun.Up)
			h.received()
		}
		w.sleep(rekey.RejectAfterTime)
		for _, h := range all {
			h.received()
		}
		for i, h := range all {
			h.deliver(all[(i+1)%hosts])
		}
		w.sleep(rekey.RejectAfterTime)
		for _, h := range all {
			if h.wantKeys(0); h.index.len() != 0 || h.stagedBytes.Load() != 0 {
				t.Errorf("host %d has %d indices and %d staged bytes at rest", h.number, h.index.len(), h.stagedBytes.Load())
			}
		}
	})
}

// disturb does one thing to a host that somebody might.
func (h *host) disturb(random *rand.Rand, all []*host) {
	o := all[random.IntN(len(all))]
	var c *uapi.Config
	switch random.IntN(9) {
	case 0:
		h.device.events <- tun.Down
		h.device.events <- tun.Up
		return
	case 1:
		c = peers(uapi.PeerConfig{PublicKey: o.public(), Remove: true})
	case 2, 3:
		c = peers(o.asPeer(o.outer4()))
	case 4:
		c = &uapi.Config{PrivateKey: new(key.Private)}
	case 5:
		c = &uapi.Config{PrivateKey: &h.private}
	case 6:
		n := uint64(5 + random.IntN(50))
		c = &uapi.Config{RekeyAfterPackets: &n}
	case 7:
		seconds := uint16(random.IntN(3))
		c = peers(uapi.PeerConfig{PublicKey: o.public(), UpdateOnly: true, Keepalive: &seconds})
	case 8:
		_, ps := h.Get()
		for range ps {
			break
		}
		c = peers(uapi.PeerConfig{PublicKey: o.public(), UpdateOnly: true, Endpoint: netip.AddrPortFrom(o.outer6().Addr(), o.outer6().Port())})
	}
	if err := h.Set(c); err != nil {
		h.w.t.Error(err)
	}
}
