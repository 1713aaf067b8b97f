package floor

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vpn/noise"
	"vpn/noise/key"
)

var day = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

func reserve(t *testing.T, s *Store, public key.Public, at time.Time) (first, last noise.TAI64N) {
	t.Helper()
	first, last, err := s.Reserve(public, noise.Stamp(at))
	if err != nil {
		t.Fatal(err)
	}
	return first, last
}

func TestReserve(t *testing.T) {
	const ahead = 10 * time.Second // as tunnel.Floor says
	dir := filepath.Join(t.TempDir(), "a", "floor")
	one, two := key.Public{1}, key.Public{0xff, 0xff, 0xff}
	for i, step := range []struct {
		public      key.Public
		at          time.Time
		first, last time.Time // zero: right after the range before, and not much longer
	}{
		{one, day, day, day.Add(ahead)},
		{one, day.Add(time.Hour), day.Add(time.Hour), day.Add(time.Hour + ahead)},
		{one, day.Add(time.Hour + ahead - time.Second), time.Time{}, time.Time{}},
		{one, day.AddDate(-1, 0, 0), time.Time{}, time.Time{}},
		{one, day.AddDate(-1, 0, 0), time.Time{}, time.Time{}},
		{two, day.AddDate(-1, 0, 0), day.AddDate(-1, 0, 0), day.AddDate(-1, 0, 0).Add(ahead)},
		{one, day.Add(2 * time.Hour), day.Add(2 * time.Hour), day.Add(2*time.Hour + ahead)},
	} {
		before, err := read(filepath.Join(dir, name(step.public)))
		if err != nil {
			t.Fatal(err)
		}
		first, last := reserve(t, New(dir), step.public, step.at)
		if step.first.IsZero() {
			step.first, step.last = before.Next().Time(), before.Time().Add(behindAhead)
		}
		if first != noise.Stamp(step.first) || last != noise.Stamp(step.last) {
			t.Errorf("step %d: from %v to %v, want %v to %v", i, first.Time(), last.Time(), step.first, step.last)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		i, err := f.Info()
		if err != nil || i.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), i.Mode(), err)
		}
	}
}

// Many at once, as several processes would: no two ranges overlap.
func TestReserveConcurrent(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var ranges [][2]noise.TAI64N
	var all sync.WaitGroup
	for range 8 {
		s := New(dir)
		all.Go(func() {
			for range 10 {
				first, last, err := s.Reserve(key.Public{1}, noise.Stamp(day))
				mu.Lock()
				if err != nil {
					t.Error(err)
				}
				for _, r := range ranges {
					if !first.After(r[1]) && !r[0].After(last) {
						t.Errorf("%v to %v was given out twice", first.Time(), last.Time())
					}
				}
				ranges = append(ranges, [2]noise.TAI64N{first, last})
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// What can't be written leaves what was there, and what can't be read says so.
func TestReserveFails(t *testing.T) {
	dir := t.TempDir()
	s, public := New(dir), key.Public{1}
	_, last := reserve(t, s, public, day)
	path := filepath.Join(dir, name(public))
	if err := os.MkdirAll(filepath.Join(path+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Reserve(public, noise.Stamp(day.Add(time.Hour))); err == nil {
		t.Error("nothing was written, and nothing is said of it")
	}
	if kept, err := read(path); err != nil || kept != last {
		t.Errorf("kept %v, %v", kept.Time(), err)
	}
	if err := os.RemoveAll(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte("half of"), 0o600); err != nil { // by a process that died
		t.Fatal(err)
	}
	reserve(t, s, public, day)
	for _, text := range []string{"", "40", strings.Repeat("0", 25), strings.Repeat("x", 24), strings.Repeat("0", 1<<20)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Reserve(public, noise.Stamp(day)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a file of %d bytes: %v", len(text), err)
		}
	}
	if _, _, err := New("/dev/null/floor").Reserve(public, noise.Stamp(day)); err == nil {
		t.Error("a store that can't be is none")
	}
}
