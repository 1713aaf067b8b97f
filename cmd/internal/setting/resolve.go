package setting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"vpn/cmd/internal/lookup"
	"vpn/conf"
)

const defaultRetries = 15

// A Resolver turns endpoints with host names into addresses, as wg does: a
// failure that may pass is tried again, after 1 s first and 1.2 times as long
// each time, up to 20 s.
type Resolver struct {
	Retries int                                                          // negative: without end
	Lookup  func(ctx context.Context, host string) ([]netip.Addr, error) // best first
	Wait    func(ctx context.Context, d time.Duration) error             // returns ctx's error if it ends first
	Notify  func(endpoint conf.Endpoint, err error, again time.Duration) // told before each wait
}

// NewResolver makes a Resolver that asks the system's resolver. The argument
// is the value of WG_ENDPOINT_RESOLUTION_RETRIES: a number, "infinity", or
// nothing for 15.
func NewResolver(retries string, notify func(conf.Endpoint, error, time.Duration)) (*Resolver, error) {
	r := &Resolver{
		Retries: defaultRetries,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		Wait:   wait,
		Notify: notify,
	}
	switch retries {
	case "":
	case "infinity":
		r.Retries = -1
	default:
		n, err := strconv.ParseUint(retries, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("WG_ENDPOINT_RESOLUTION_RETRIES is neither a number nor infinity: %q", retries)
		}
		r.Retries = int(n)
	}
	return r, nil
}

// Resolve returns the address of e. It blocks while it tries, until ctx ends.
func (r *Resolver) Resolve(ctx context.Context, e conf.Endpoint) (netip.AddrPort, error) {
	if addr, ok := e.Addr(); ok {
		return addr, nil
	}
	var again lookup.Backoff
	for retries := r.Retries; ; retries-- {
		addrs, err := r.Lookup(ctx, e.Host)
		if err == nil && len(addrs) > 0 {
			return netip.AddrPortFrom(addrs[0].Unmap(), e.Port), nil
		}
		if err == nil {
			err = errors.New("it has no address")
		}
		if retries == 0 || lookup.NoSuchName(err) {
			return netip.AddrPort{}, fmt.Errorf("%q: %w", e, lookup.Reason(err))
		}
		delay := again.Next()
		r.Notify(e, lookup.Reason(err), delay)
		if err := r.Wait(ctx, delay); err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q: %w", e, err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
