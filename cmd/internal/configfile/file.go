// Package configfile finds the file that an argument names, reads it, and
// writes it so that at every moment either the old or the new text is there,
// whole.
package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vpn/conf"
	"vpn/tunnel/uapi"
)

// Dir is where files are found by the name of their interface.
const Dir = "/etc/wireguard"

const suffix = ".conf"

// File is a configuration file, which may not be there.
type File struct {
	Name string // of the interface; empty for standard input
	Path string // empty for standard input
}

// Find says which file an argument means, without looking for it:
//
//   - "wg0" is /etc/wireguard/wg0.conf
//   - what has a slash in it or ends in ".conf" is a path, and the interface has
//     the file's name
//   - "-" is standard input
func Find(arg string) (File, error) {
	switch {
	case arg == "-":
		return File{}, nil
	case !strings.Contains(arg, "/") && !strings.HasSuffix(arg, suffix):
		if !uapi.ValidName(arg) {
			return File{}, invalid(fmt.Sprintf("%q can't be the name of an interface", arg))
		}
		return File{Name: arg, Path: filepath.Join(Dir, arg+suffix)}, nil
	}
	name := strings.TrimSuffix(filepath.Base(arg), suffix)
	if !uapi.ValidName(name) {
		return File{}, invalid(fmt.Sprintf("%q is a file whose name can't be that of an interface", arg))
	}
	return File{Name: name, Path: arg}, nil
}

func invalid(message string) error {
	return &argumentError{message: message, hint: "a name has 1 to 15 letters, digits, and _ = + . -"}
}

// String is the file as errors name it.
func (f File) String() string {
	if f.Path == "" {
		return "standard input"
	}
	return f.Path
}

// Read reads the file as [conf.ReadFile] does. If it isn't there, the error is
// fs.ErrNotExist, with a hint that names files which are.
func (f File) Read() ([]byte, []conf.Warning, error) {
	if f.Path == "" {
		return conf.Read(os.Stdin, f.String())
	}
	text, warnings, err := conf.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.missing()
	}
	return text, warnings, err
}

// Peek returns what the file says that an argument names, less its keys, which are
// erased; nil if it can't be read or isn't valid. It is for whoever looks at a file that
// nobody has asked about, and can do without.
func Peek(arg string) *conf.Config {
	f, err := Find(arg)
	if err != nil || f.Path == "" {
		return nil
	}
	text, _, err := f.Read()
	defer clear(text)
	if err != nil {
		return nil
	}
	c, _, err := conf.Parse(f.Path, text, conf.WGQuick)
	if err != nil {
		return nil
	}
	c.Erase()
	return c
}

// missing says that there is no such file, or that it is a link to none.
func (f File) missing() error {
	if target, err := os.Readlink(f.Path); err == nil {
		return &argumentError{message: fmt.Sprintf("%s is a link to %s, which is not there", f.Path, target), is: fs.ErrNotExist}
	}
	return &argumentError{message: "there is no file " + f.Path, hint: f.near(), is: fs.ErrNotExist}
}

// An argumentError is what is wrong with the argument that named the file.
type argumentError struct {
	message, hint string
	is            error // what it is to errors.Is, if anything
}

func (e *argumentError) Error() string { return e.message }

// Hint is what to do about it; it may be empty.
func (e *argumentError) Hint() string { return e.hint }

func (e *argumentError) Unwrap() error { return e.is }

// near says which files there are that may have been meant.
func (f File) near() string {
	dir, base := filepath.Split(f.Path)
	byName := filepath.Clean(dir) == Dir
	if _, err := os.Stat(base); byName && err == nil {
		return fmt.Sprintf("for the file in this folder write ./%s", base)
	}
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		name, isConf := strings.CutSuffix(e.Name(), suffix)
		if isConf && uapi.ValidName(name) && !e.IsDir() {
			if !byName {
				name = filepath.Join(filepath.Dir(f.Path), e.Name())
			}
			names = append(names, name)
		}
	}
	return listed(names, f.Name, byName)
}

// listed makes a hint of the names that there are: those that begin alike, or
// else all, if they are few.
func listed(names []string, wanted string, byName bool) string {
	const most, alike = 8, 2
	begins := strings.ToLower(wanted[:min(alike, len(wanted))])
	similar := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !strings.HasPrefix(strings.ToLower(filepath.Base(name)), begins)
	})
	if len(similar) > 0 && len(similar) <= most {
		return "did you mean " + strings.Join(similar, " or ") + "?"
	}
	switch {
	case len(names) == 0 && byName:
		return "there is none in " + Dir + "; a file elsewhere is named by its path"
	case len(names) == 0:
		return ""
	case len(names) > most:
		names = append(names[:most:most], "...")
	}
	return "there are " + strings.Join(names, ", ")
}
