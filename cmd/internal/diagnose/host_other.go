//go:build !linux

package diagnose

import (
	"context"
	"net/netip"

	"vpn/cmd/internal/report"
)

// Of the host nothing is known on this system.

type capture struct{}

func captureTraffic(string) *capture { return &capture{} }

func (*capture) stop() {}

func (*capture) kept(string) []Passed { return nil }

func wayTo(netip.Addr, *report.Interface) *Way { return nil }

func routesTo([]netip.Prefix, string) []Prefixed { return nil }

func reach(context.Context, string, int, []netip.Addr) *Reach { return nil }
