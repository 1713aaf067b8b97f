package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vpn/tun/host/dns"
)

// Append writes that steps are about to be done, all in one write, and returns
// the number of the first; the others follow. After an error there are none of them. A step that changes nothing that
// has to be undone is written too: it tells what is there.
func (j *Journal) Append(steps ...Step) (first int, err error) {
	first = j.last + 1
	if len(steps) == 0 {
		return first, nil
	}
	had := len(j.entries)
	defer func() {
		if err != nil { // what was not written is not done either
			j.entries = j.entries[:had]
		}
	}()
	var run, lib bytes.Buffer
	for _, s := range steps {
		j.last++
		r := record{ID: j.last, Do: &encoded{s.Do}}
		if s.Undo != nil {
			r.Undo = &encoded{s.Undo}
		}
		to := &run
		if outlivesBoot(s) {
			to = &lib
		}
		if err := json.NewEncoder(to).Encode(r); err != nil {
			return 0, fmt.Errorf("journal of %s: %w", j.Link, err)
		}
		j.entries = append(j.entries, Entry{ID: j.last, Do: s.Do, Undo: s.Undo})
	}
	if err := errors.Join(j.lib.write(lib.Bytes()), j.run.write(run.Bytes())); err != nil {
		return 0, fmt.Errorf("journal of %s: %w", j.Link, err)
	}
	return first, nil
}

// outlivesBoot says whether a step is still in force after a reboot.
func outlivesBoot(s Step) bool {
	switch a := s.Undo.(type) {
	case RemoveFile:
		return true
	case UnsetDNS:
		return a.Way != dns.Resolved
	}
	return false
}

// End writes that steps are void: they were undone, or never done.
func (j *Journal) End(ids ...int) error {
	if len(ids) == 0 {
		return nil
	}
	var errs []error
	for _, f := range []*file{&j.run, &j.lib} {
		if f.good > 0 {
			errs = append(errs, j.put(f, record{Over: ids}))
		}
	}
	j.drop(ids)
	return errors.Join(errs...)
}

// Opened writes which link it is that was opened, so that no other of the same
// name is ever deleted.
func (j *Journal) Opened(index int) error {
	j.index = index
	return j.put(&j.run, record{Index: index})
}

// MarkUp writes that everything has been done, and what is to be known of it
// later. S was read after the last hook: what it shows to be missing already, a hook
// has removed, and it is not ours to put back; what else is on the link now, and which rules
// about it are new, a hook has added, and it stays as long as the link. Where no hook
// was run s may be nil.
func (j *Journal) MarkUp(u UpRecord, s *State) error {
	if s != nil {
		if _, err := j.Append(extra(s, j, u.Mark)...); err != nil {
			return err
		}
		u.Absent = absent(s, j)
	}
	j.rules = nil
	j.up = &u
	return j.put(&j.run, record{Up: &u})
}

// markDown writes that what follows is the end: a crash in its middle leaves
// nothing that somebody could take for a link that is up.
func (j *Journal) markDown() error {
	j.up = nil
	if j.run.good == 0 {
		return nil
	}
	return j.put(&j.run, record{Down: true})
}

// Remove deletes the files, when everything has been undone.
func (j *Journal) Remove() error {
	j.entries, j.up, j.index, j.last = nil, nil, 0, 0
	return errors.Join(j.run.remove(), j.lib.remove())
}

func (j *Journal) put(f *file, r record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = f.write(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("journal of %s: %w", j.Link, err)
	}
	return nil
}

// write appends whole lines.
func (f *file) write(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if _, err := f.f.WriteAt(text, f.good); err != nil {
		return errors.Join(err, f.f.Truncate(f.good)) // no half a line before the next
	}
	f.good += int64(len(text))
	if f.sync {
		return f.f.Sync()
	}
	return nil
}

// open opens the file for writing, without what is no whole line, and begins it
// if need be.
func (f *file) open() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if f.f, err = os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err = f.f.Truncate(f.good); err != nil || f.begun {
		return err
	}
	f.begun = true
	if err = f.write(fmt.Appendf(nil, "{\"boot\":%q}\n", f.boot)); err != nil || !f.sync {
		return err
	}
	// The names too, up to the first folder that was there before us.
	for range 3 {
		if err = syncFolder(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *file) close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

func (f *file) remove() error {
	err := f.close()
	f.good, f.begun = 0, false
	if gone := os.Remove(f.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	_ = os.Remove(filepath.Dir(f.path)) // unless others keep something there
	return err
}
