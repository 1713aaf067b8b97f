package lookup

import "github.com/google/renameio/v2"

// replace writes a file as a whole, for its owner only, or leaves the one that
// is there.
func replace(path string, text []byte) error {
	return renameio.WriteFile(path, text, 0o600, renameio.IgnoreUmask())
}
