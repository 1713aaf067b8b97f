package cli

import (
	"crypto/rand"

	"github.com/spf13/cobra"

	"vpn/noise/key"
)

func newGenpsk() *cobra.Command {
	return &cobra.Command{
		Use:   "genpsk",
		Short: "Make a preshared key",
		Long: `Make a new preshared key and write it in base64 to standard output. Both peers
need the same.`,
		Example: `  umask 077
  vpn genpsk > preshared.key`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := key.NewPreshared(rand.Reader)
			if err != nil {
				return err
			}
			defer k.Erase()
			return writeSecret(cmd, k.AppendBase64)
		},
	}
}
