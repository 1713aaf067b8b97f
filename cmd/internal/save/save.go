// Package save writes to a configuration file what an interface has by now: what
// wg-quick's SaveConfig does, but for comments, order, directives and the names
// of hosts, which stay.
package save

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"vpn/cmd/internal/configfile"
	"vpn/conf"
	"vpn/tunnel/uapi"
)

// Live is what an interface has.
type Live struct {
	*uapi.Device
	Addresses []netip.Prefix // of the link, as the kernel shows them
	MTU       int
	Now       time.Time // when that was
}

// Save writes to the file at path what the interface of that name has. Nothing is
// written if the file says all that already. It waits a little for the names of
// endpoints to be looked up, and no longer than ctx.
func Save(ctx context.Context, path, name string) error {
	text, _, err := configfile.File{Name: name, Path: path}.Read()
	if err != nil {
		return err
	}
	defer clear(text)
	c, _, err := conf.Parse(path, text, conf.WGQuick)
	if err != nil {
		return err
	}
	defer c.Erase()
	live, err := read(name)
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	defer live.Erase()
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	live.apply(c, newNames(ctx, name, live.FwMark).has)
	merged, err := c.Merge(path, text)
	if err != nil {
		return err
	}
	defer clear(merged)
	if bytes.Equal(merged, text) {
		return nil
	}
	return configfile.Write(path, merged)
}

// read asks the interface and the kernel.
func read(name string) (*Live, error) {
	client, err := uapi.Dial(name)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	d, err := client.Get()
	if err != nil {
		return nil, err
	}
	live := &Live{Device: d, Now: time.Now()}
	if live.Addresses, live.MTU, err = link(name); err != nil {
		d.Erase()
		return nil, err
	}
	return live, nil
}
