package host

import "os"

// Replace replaces a file below [RunDir], of which only the holder of a lock writes
// new versions, by one that is its owner's alone. Whoever reads it finds the one
// before, or this one. The new version has one name of its own while it is written,
// so that a writer who is killed leaves nothing that the next does not use. It is not
// made to outlive a power cut, as nothing there is.
func Replace(path string, text []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
