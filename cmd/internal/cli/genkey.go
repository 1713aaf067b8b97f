package cli

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"vpn/noise/key"
)

func newGenkey() *cobra.Command {
	return &cobra.Command{
		Use:   "genkey",
		Short: "Make a private key",
		Long:  `Make a new private key and write it in base64 to standard output.`,
		Example: `  umask 077
  vpn genkey > private.key
  vpn genkey | tee private.key | vpn pubkey > public.key`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := key.NewPrivate(rand.Reader)
			if err != nil {
				return err
			}
			defer k.Erase()
			return writeSecret(cmd, k.AppendBase64)
		},
	}
}

// writeSecret writes a secret's text as a line to standard output, with a
// warning if that is a file that everybody may read.
func writeSecret(cmd *cobra.Command, appendText func([]byte) []byte) error {
	out := cmd.OutOrStdout()
	if worldReadable(out) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the key goes to a file that everybody may read\nhint: run \"umask 077\" first\n")
	}
	line := append(appendText(make([]byte, 0, 64)), '\n')
	defer clear(line)
	_, err := out.Write(line)
	return err
}

// worldReadable reports whether w is a file that others than its owner and
// group have any right to.
func worldReadable(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0
}
