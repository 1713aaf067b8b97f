package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Create makes a file that only its owner can read, and never writes to one that
// is there: then the error is fs.ErrExist. The text stays the caller's to erase.
// If it can't be written whole, no file is left. The folder of the files that are
// found by name is made if need be.
func Create(path string, text []byte) error {
	if filepath.Dir(path) == Dir {
		if err := os.MkdirAll(Dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &argumentError{message: path + " is there already", hint: "it is left as it is: choose another name, or remove it first", is: fs.ErrExist}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return nil
}
