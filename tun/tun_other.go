//go:build !linux

package tun

import wgtun "golang.zx2c4.com/wireguard/tun"

// Create makes a TUN device through golang.zx2c4.com/wireguard/tun, which says what
// names the system allows. An mtu of 0 means DefaultMTU. Such a device has one
// queue, however many are asked for.
func Create(name string, mtu, _ int) (Device, error) {
	if mtu == 0 {
		mtu = DefaultMTU
	}
	d, err := wgtun.CreateTUN(name, mtu)
	if err != nil {
		return nil, err
	}
	return wrapOrClose(d)
}

func wrapOrClose(d wgtun.Device) (Device, error) {
	w, err := Wrap(d)
	if err != nil {
		d.Close()
		return nil, err
	}
	return w, nil
}
