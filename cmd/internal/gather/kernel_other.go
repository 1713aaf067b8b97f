//go:build !linux

package gather

import (
	"context"
	"net"

	"vpn/cmd/internal/report"
)

// kernelNames lists nothing on this system: what its kernel runs is asked for with its own tools.
func kernelNames() ([]string, error) { return nil, nil }

func linkIsUp(name string) bool {
	i, err := net.InterfaceByName(name)
	return err == nil && i.Flags&net.FlagUp != 0
}

type kernelLink struct{ name string }

// Status implements report.Source.
func (kernelLink) Status(context.Context, report.Query, func(*report.Line) error) error {
	return ErrNone
}

// Events implements report.Source.
func (kernelLink) Events(context.Context, report.Query, func(*report.Line) error) error {
	return ErrNoEvents
}
