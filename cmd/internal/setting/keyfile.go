package setting

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"vpn/noise/key"
)

// ErrTrailing is returned for a key that more than white space follows.
var ErrTrailing = errors.New("something follows the key")

const (
	base64Size = 44
	keyRoom    = 4096 // more than a key, and as much white space as anybody has
)

// ReadPrivateFile reads a private key from a file. An empty file means the zero
// key, which takes an interface's key away.
func ReadPrivateFile(path string) (key.Private, error) { return readFile(path, ReadPrivate) }

// ReadPresharedFile reads a preshared key, as ReadPrivateFile does.
func ReadPresharedFile(path string) (key.Preshared, error) { return readFile(path, ReadPreshared) }

// ReadPrivate reads a private key in base64 to the end of r. There may be white
// space after it; nothing at all means the zero key.
func ReadPrivate(r io.Reader) (key.Private, error) { return read(r, key.ParsePrivate) }

// ReadPreshared reads a preshared key, as ReadPrivate does.
func ReadPreshared(r io.Reader) (key.Preshared, error) { return read(r, key.ParsePreshared) }

func readFile[K any](path string, read func(io.Reader) (K, error)) (K, error) {
	var none K
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	k, err := read(f)
	if err != nil {
		return none, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

func read[K any](r io.Reader, parse func(string) (K, error)) (K, error) {
	var none K
	b := make([]byte, keyRoom)
	defer clear(b)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return none, ErrTrailing
	case err == io.EOF:
		return none, nil
	case err != io.ErrUnexpectedEOF:
		return none, err
	}
	text := b[:min(n, base64Size)]
	if len(bytes.TrimSpace(b[len(text):n])) > 0 {
		return none, ErrTrailing
	}
	// The string is b itself, so that clearing b leaves no copy of the key.
	return parse(unsafe.String(unsafe.SliceData(text), len(text)))
}

// credential begins the name of a key that systemd hands to a service.
const credential = "credential:"

// noCredentials says that there are none, and how there would be.
type noCredentials struct{}

func (noCredentials) Error() string { return "systemd has handed over no credentials" }

// Hint says where credentials come from.
func (noCredentials) Hint() string {
	return "a service has them from LoadCredential= or LoadCredentialEncrypted= in its unit (\"systemctl edit vpn@NAME\"); elsewhere name the key's file by its path"
}

// path finds a key file that the translated file names: a credential of the
// service we run as, or a path, which is relative to the file's directory.
func (t translation) path(name string) (string, error) {
	if id, ok := strings.CutPrefix(name, credential); ok {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", noCredentials{}
		}
		if id == "" || strings.Contains(id, "/") || id == "." || id == ".." {
			return "", errors.New("this can't be the name of a credential")
		}
		return filepath.Join(dir, id), nil
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	return filepath.Join(filepath.Dir(t.file), name), nil
}
