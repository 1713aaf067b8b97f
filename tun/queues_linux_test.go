package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// arrived is a packet of a test's flow, read from a queue.
type arrived struct {
	queue, flow int
	number      uint32
}

// readers reads all queues of a device at once, and tells of what flows of the test
// have sent.
func readers(t *testing.T, d *native) <-chan arrived {
	all := make(chan arrived, 1)
	var running sync.WaitGroup
	for i, q := range d.Queues() {
		running.Go(func() {
			for b := NewBatch(); ; {
				if err := q.Read(b); err != nil {
					return
				}
				for _, p := range b.Packets {
					if len(p.Data) == 36 && p.Data[9] == unix.IPPROTO_UDP {
						all <- arrived{i, int(binary.BigEndian.Uint32(p.Data[28:])), binary.BigEndian.Uint32(p.Data[32:])}
					}
				}
			}
		})
	}
	t.Cleanup(func() {
		d.Close()
		running.Wait()
	})
	return all
}

// TestFlowKeepsToQueue has many flows go through a device with several queues, while what answers them is written to another queue each time. All of a flow is read from one queue, in order, and the flows use all of them.
func TestFlowKeepsToQueue(t *testing.T) {
	const flows, rounds, burst = 40, 4, 4
	for _, queues := range []int{2, 3, 4} {
		n := newNamespace(t)
		d := n.create("several", 0, queues)
		if len(d.Queues()) != queues {
			t.Fatalf("%d queues, want %d", len(d.Queues()), queues)
		}
		n.up("several", "10.77.0.1/24")
		all := readers(t, d)
		to := netip.MustParseAddrPort("10.77.0.2:9")
		used := make(map[int]bool)
		for flow := range flows {
			c := n.listenUDP("10.77.0.1:0")
			answer := udpPacket(0, uint16(c.LocalAddr().(*net.UDPAddr).Port))
			sent := uint32(0)
			send := func() {
				for range burst {
					payload := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(flow)), sent)
					_, err := c.WriteToUDPAddrPort(payload, to)
					n.check(err)
					sent++
				}
			}
			home := -1
			for round := range rounds {
				send()
				if taken, err := d.Queues()[(flow+round)%queues].Write([][]byte{answer}); taken != 1 || err != nil {
					t.Fatal(taken, err)
				}
				send()
				for i := sent - 2*burst; i < sent; i++ {
					a := <-all
					if a.flow != flow || a.number != i {
						t.Errorf("packet %d of flow %d came when %d of %d was due", a.number, a.flow, i, flow)
					}
					if home >= 0 && a.queue != home {
						t.Errorf("packet %d of flow %d is in queue %d, those before it were in %d", i, flow, a.queue, home)
					}
					home = a.queue
				}
			}
			used[home] = true
			n.check(c.Close())
		}
		if len(used) != queues {
			t.Errorf("%d flows have used %d of %d queues", flows, len(used), queues)
		}
	}
}

// TestCreateTakesOver opens persistent links that others have made, for one queue or for several.
func TestCreateTakesOver(t *testing.T) {
	for _, made := range []struct {
		by    string
		flags netlink.TuntapFlag
		multi bool
	}{
		{"an older version", netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR, false},
		{"ip tuntap", netlink.TUNTAP_NO_PI, false},
		{"ip tuntap multi_queue", netlink.TUNTAP_NO_PI | netlink.TUNTAP_MULTI_QUEUE, true},
	} {
		for _, wanted := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s, %d queues", made.by, wanted), func(t *testing.T) {
				n := newNamespace(t)
				flags := uint16(made.flags) | unix.IFF_TUN
				n.do(func() {
					f, _, err := openQueue("taken", flags)
					if err == nil {
						err = onFile(f, func(fd int) error { return unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1) })
						f.Close()
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				want := wanted
				if !made.multi {
					want = 1
				}
				for range 2 { // and again
					d := n.create("taken", 0, wanted)
					if len(d.Queues()) != want || !d.vnet {
						t.Errorf("%d queues, virtio %v, want %d", len(d.Queues()), d.vnet, want)
					}
					n.do(func() {
						if _, err := Create("taken", 0, wanted); !errors.Is(err, unix.EBUSY) {
							t.Errorf("opened by another as well: %v", err)
						}
					})
					n.check(d.Close())
				}
				n.link("taken") // persistent still
			})
		}
	}
}

// TestFromFileOfWriters is given only what cannot be read from.
func TestFromFileOfWriters(t *testing.T) {
	n := newNamespace(t)
	d := n.create("several", 0, 2)
	f, err := duplicate(d.Files()[0])
	n.check(err)
	defer f.Close()
	n.do(func() { _, err = FromFile(f, 0) })
	if err == nil || err.Error() != `tun "several": no descriptor given is for reading` {
		t.Error(err)
	}
}
