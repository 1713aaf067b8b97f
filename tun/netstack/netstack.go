// Package netstack is a device with no kernel behind it: a TCP/IP stack inside
// the process (gVisor's), reached over ordinary Go connections. It needs no
// privileges. It is for tests: the program does without the time that gVisor's
// packages take at each start.
package netstack

import (
	"net/netip"
	"os"
	"sync"

	wgtun "golang.zx2c4.com/wireguard/tun"
	wgnetstack "golang.zx2c4.com/wireguard/tun/netstack"
	"vpn/tun"
)

// Create makes a network stack with the addresses addrs, whose packets go
// through the returned device, and which asks the resolvers dns. An mtu of 0 means
// tun.DefaultMTU. The Net dials and listens inside the stack; it ends with the
// device's Close.
func Create(addrs, dns []netip.Addr, mtu int) (tun.Device, *wgnetstack.Net, error) {
	if mtu <= 0 {
		mtu = tun.DefaultMTU
	}
	d, net, err := wgnetstack.CreateNetTUN(addrs, dns, mtu)
	if err != nil {
		return nil, nil, err
	}
	w, err := tun.Wrap(&drained{Device: d})
	if err != nil {
		return nil, nil, err
	}
	return w, net, nil
}

// drained reads the device empty while it is closed, and closes it when nobody
// writes to it. The stack hands each packet, also the answer to one that is being
// written, to a reader by a channel that Close closes: a packet that still waited
// for its reader would be sent on a closed channel, which panics.
type drained struct {
	wgtun.Device
	once sync.Once
	err  error

	mu     sync.RWMutex // held for reading while packets are written
	closed bool         // guarded by mu
}

// Write implements wgtun.Device.
func (d *drained) Write(bufs [][]byte, offset int) (int, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return 0, os.ErrClosed
	}
	return d.Device.Write(bufs, offset)
}

// Close implements wgtun.Device.
func (d *drained) Close() error {
	d.once.Do(func() {
		go func() {
			bufs, sizes := [][]byte{make([]byte, 1<<16)}, make([]int, 1)
			for {
				if _, err := d.Read(bufs, sizes, 0); err != nil {
					return
				}
			}
		}()
		d.mu.Lock()
		d.closed = true
		d.mu.Unlock()
		d.err = d.Device.Close()
	})
	return d.err
}
