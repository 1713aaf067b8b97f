package cli

import (
	"context"
	"os"

	"vpn/cmd/internal/systemd"
)

// stopUnit stops the unit of a link whose keeper is gone, which would otherwise be
// started again.
func stopUnit(ctx context.Context, name string) error {
	if !systemd.Booted() || os.Geteuid() != 0 {
		return nil
	}
	m, err := systemd.Connect(ctx)
	if err != nil {
		return nil // then it was no unit
	}
	defer m.Close()
	if unit, plain := systemd.Template(name); plain {
		if err := m.Stop(ctx, unit); err != nil {
			return err
		}
	}
	return m.Stop(ctx, systemd.Transient(name))
}
