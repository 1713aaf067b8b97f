package host

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// Replace replaces a file below [RunDir], of which only the holder of a lock writes
// new versions, by one that is its owner's alone. Whoever reads it finds the one
// before, or this one. The new version has one name of its own while it is written,
// so that a writer who is killed leaves nothing that the next does not use. It is not
// made to outlive a power cut, as nothing there is.
func Replace(path string, text []byte) error {
	return ReplaceWith(path, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(text))
		return err
	})
}

// RemoveReplaced removes a file that Replace has written, and what a writer who was
// killed may have left of the next version.
func RemoveReplaced(path string) error {
	return errors.Join(os.Remove(path), os.Remove(path+".new"))
}

// ReplaceWith is [Replace] by what write writes, of which no copy is made.
func ReplaceWith(path string, write func(io.Writer) error) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		_ = os.Remove(next) // it may have keys in it
		return err
	}
	return os.Rename(next, path)
}
