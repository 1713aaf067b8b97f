package conf

import (
	"fmt"
	"io"
	"os"
)

// maxFile leaves a file of a million peers half a kilobyte for each.
const maxFile = 512 << 20

// ReadFile reads a file, through links: mounted secrets are links. The text is
// the caller's to erase. What was opened is checked by its descriptor, see
// [Read].
func ReadFile(path string) ([]byte, []Warning, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	text, warnings, err := Read(f, path)
	if err == nil && len(text) == 0 && isPipe(f) {
		err = &Error{File: path, Message: "is a pipe, through which nothing comes"}
	}
	return text, warnings, err
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// Read reads a file that is open, such as standard input. A file that anybody
// may write to is refused, since its hooks are run; of one that anybody may
// read, or its group may write to, a warning says so. The name is for errors.
func Read(f *os.File, name string) ([]byte, []Warning, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, &Error{File: name, Message: "is a directory"}
	}
	var warnings []Warning
	if info.Mode().IsRegular() { // the mode of a pipe says nothing
		if warnings, err = checkMode(name, info.Mode().Perm()); err != nil {
			return nil, nil, err
		}
	}
	text, err := readAll(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, warnings, nil
}

func checkMode(name string, mode os.FileMode) ([]Warning, error) {
	if !modesMatter {
		return nil, nil
	}
	const hint = "chmod 600"
	if mode&0o002 != 0 {
		return nil, &Error{File: name, Message: fmt.Sprintf("anybody may write to it (mode %04o)", mode), Hint: hint}
	}
	var warnings []Warning
	if mode&0o004 != 0 {
		warnings = append(warnings, Warning{File: name, Message: fmt.Sprintf("anybody may read it (mode %04o)", mode), Hint: hint})
	}
	if mode&0o020 != 0 {
		warnings = append(warnings, Warning{File: name, Message: fmt.Sprintf("its group may write to it (mode %04o)", mode), Hint: hint})
	}
	return warnings, nil
}

// readAll reads to the end, and leaves no copy behind when its buffer grows.
func readAll(r io.Reader, size int64) ([]byte, error) {
	text := make([]byte, 0, min(size, maxFile)+512)
	for {
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case err == io.EOF:
			return text, nil
		case err == nil && len(text) > maxFile:
			err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
		}
		if err != nil {
			clear(text)
			return nil, err
		}
		if len(text) == cap(text) {
			grown := append(make([]byte, 0, 2*cap(text)), text...)
			clear(text)
			text = grown
		}
	}
}
