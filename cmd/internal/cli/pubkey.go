package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vpn/cmd/internal/setting"
)

func newPubkey() *cobra.Command {
	return &cobra.Command{
		Use:     "pubkey",
		Short:   "Compute the public key of a private key",
		Long:    `Read a private key in base64 from standard input and write its public key.`,
		Example: `  vpn pubkey < private.key > public.key`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := setting.ReadPrivate(cmd.InOrStdin())
			if err != nil {
				return fmt.Errorf("standard input: %w", err)
			}
			defer k.Erase()
			if k.IsZero() {
				return errors.New("standard input: there is no key")
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), k.Public())
			return err
		},
	}
}
