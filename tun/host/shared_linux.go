package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// shared is what the tunnels of a network namespace have in common: variables
// that several of them set, and marks that only one may have. It is a file below
// RunDir, which is changed under a lock.
type shared struct{ path string }

// sharedDir can't be the name of a link: it is too long.
const sharedDir = RunDir + "/shared-by-tunnels"

// holdings is the file's content.
type holdings struct {
	Sysctls map[string]*holding `json:"sysctls"`
	Marks   map[uint32]string   `json:"marks"` // by mark, the link
}

// holding is a variable that tunnels hold.
type holding struct {
	Was   string   `json:"was"`
	Value string   `json:"value"`
	By    []string `json:"by"` // links
}

func openShared() (shared, error) {
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return shared{}, fmt.Errorf("network namespace: %w", err)
	}
	return shared{filepath.Join(sharedDir, fmt.Sprintf("net-%d", ns.Ino))}, nil
}

// read returns what is held, by tunnels that there still are.
func (s shared) read() (*holdings, error) {
	h := &holdings{Sysctls: map[string]*holding{}, Marks: map[uint32]string{}}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil {
		err = json.Unmarshal(text, h)
	}
	if err != nil {
		return nil, fmt.Errorf("what tunnels share: %w", err)
	}
	isGone := func(link string) bool {
		_, err := os.Stat(RunPath(link, journalName))
		return errors.Is(err, fs.ErrNotExist)
	}
	for _, held := range h.Sysctls {
		held.By = slices.DeleteFunc(held.By, isGone)
	}
	for mark, link := range h.Marks {
		if isGone(link) {
			delete(h.Marks, mark)
		}
	}
	return h, nil
}

// change reads what is held, lets f change it, and writes it.
func (s shared) change(f func(*holdings) error) error {
	if err := os.MkdirAll(sharedDir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(sharedDir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return os.NewSyscallError("flock", err)
	}
	h, err := s.read()
	if err != nil {
		return err
	}
	if err := f(h); err != nil {
		return err
	}
	if len(h.Sysctls)+len(h.Marks) == 0 {
		return not(os.Remove(s.path), fs.ErrNotExist)
	}
	return s.write(h)
}

func (s shared) write(h *holdings) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return Replace(s.path, text)
}

// hold sets a variable. What it was is on file before it changes.
func (s shared) hold(a HoldSysctl) error {
	return s.change(func(h *holdings) error {
		is, err := readSysctl(a.Key)
		if err != nil {
			return err
		}
		held := h.Sysctls[a.Key]
		if held == nil {
			held = &holding{Was: is, Value: a.Value}
			h.Sysctls[a.Key] = held
		}
		if !slices.Contains(held.By, a.Link) {
			held.By = append(held.By, a.Link)
		}
		if err := s.write(h); err != nil {
			return err
		}
		if is == a.Value {
			return nil
		}
		return writeSysctl(a.Key, a.Value)
	})
}

// release ends a hold. The last one gives the variable back what it was, unless
// somebody else has changed it since.
func (s shared) release(link, key string) error {
	return s.change(func(h *holdings) error {
		held := h.Sysctls[key]
		if held == nil {
			return nil
		}
		held.By = slices.DeleteFunc(held.By, func(by string) bool { return by == link })
		if len(held.By) > 0 {
			return nil
		}
		is, err := readSysctl(key)
		if err == nil && is == held.Value && is != held.Was {
			err = writeSysctl(key, held.Was)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) { // with the link that it was of
			delete(h.Sysctls, key)
			return nil
		}
		return err
	})
}

// Shown is what a person would type for an action now, where its String can't tell:
// what a variable gets back when it is released only the file of holdings knows.
func Shown(a Action) Action {
	r, is := a.(ReleaseSysctl)
	if !is {
		return a
	}
	s, err := openShared()
	if err != nil {
		return a // doing it will tell
	}
	h, err := s.read()
	if err != nil {
		return a
	}
	held := h.Sysctls[r.Key]
	if held == nil || len(held.By) != 1 || held.By[0] != r.Link || held.Was == held.Value {
		return a
	}
	if now, err := readSysctl(r.Key); err != nil || now != held.Value {
		return a
	}
	return Sysctl{r.Key, held.Was}
}

func (s shared) claim(a ClaimMark) error {
	return s.change(func(h *holdings) error {
		if other, ok := h.Marks[a.Mark]; ok && other != a.Link {
			return fmt.Errorf("mark %d is now that of %s: %w", a.Mark, other, ErrTaken)
		}
		h.Marks[a.Mark] = a.Link
		return nil
	})
}

func (s shared) unclaim(a ReleaseMark) error {
	return s.change(func(h *holdings) error {
		if h.Marks[a.Mark] == a.Link {
			delete(h.Marks, a.Mark)
		}
		return nil
	})
}

// readSysctl asks for no more than it needs: os.ReadFile takes twice as long, and a
// dozen are read for each plan.
func readSysctl(key string) (string, error) {
	path := sysctlPath(key)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var text [256]byte // numbers, all of them
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return "", &os.PathError{Op: "read", Path: path, Err: err}
	}
	return strings.TrimSpace(string(text[:n])), nil
}

// redirectsOfAll is reset by the kernel whenever forwarding is switched.
const redirectsOfAll = "net.ipv4.conf.all.accept_redirects"

func writeSysctl(key, value string) error {
	accepts, err := readSysctl(redirectsOfAll)
	if key != forwarding4 || err != nil {
		return os.WriteFile(sysctlPath(key), []byte(value), 0o644)
	}
	if err := os.WriteFile(sysctlPath(key), []byte(value), 0o644); err != nil {
		return err
	}
	return os.WriteFile(sysctlPath(redirectsOfAll), []byte(accepts), 0o644)
}
