//go:build linux

package residue

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// window is how many bytes in a row of a secret, in any of its forms, are not to be found.
const window = 16

// A form is one way to write a secret.
type form struct {
	name string
	text []byte
}

// forms are how secrets may stand in memory: as they are, and as configuration writes them.
func forms(secrets []secret) (all []form) {
	for _, s := range secrets {
		inHex := hex.EncodeToString(s.bytes[:])
		all = append(all, form{s.name, s.bytes[:]}, form{s.name + " in hex", []byte(inHex)},
			form{s.name + " in HEX", []byte(strings.ToUpper(inHex))}, form{s.name + " in base64", []byte(base64.StdEncoding.EncodeToString(s.bytes[:]))})
	}
	return all
}

// A finder looks for forms. Whatever window of one stands somewhere, half of it at least is a piece that begins at a
// multiple of half a window, so it is these that are looked up.
type finder struct {
	forms  []form
	pieces map[uint64][]place
	begins [1 << 16]bool // the first two bytes of a piece
}

type place struct{ form, at int }

const piece = window / 2

func word(b []byte) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func newFinder(secrets []secret) *finder {
	f := &finder{forms: forms(secrets), pieces: map[uint64][]place{}}
	for i, form := range f.forms {
		for at := 0; at+piece <= len(form.text); at += piece {
			w := word(form.text[at:])
			f.pieces[w] = append(f.pieces[w], place{i, at})
			f.begins[uint16(w)] = true
		}
	}
	return f
}

// find calls found for each piece in b that has a whole window around it. The race detector is not to look at each byte as well: nobody
// else has them, and it would take minutes.
//
//go:norace
func (f *finder) find(b []byte, found func(form, at int)) {
	for i := 0; i+piece <= len(b); i++ {
		if !f.begins[uint16(b[i])|uint16(b[i+1])<<8] {
			continue
		}
		for _, p := range f.pieces[word(b[i:])] {
			text := f.forms[p.form].text
			from, to := 0, piece
			for i+from > 0 && p.at+from > 0 && b[i+from-1] == text[p.at+from-1] {
				from--
			}
			for i+to < len(b) && p.at+to < len(text) && b[i+to] == text[p.at+to] {
				to++
			}
			if to-from >= window {
				found(p.form, i)
			}
		}
	}
}

// search looks through all memory that a process has, and the registers of its threads. It returns which secrets are there
// in which form, and where.
func search(t *testing.T, pid int, secrets []secret) (found []string) {
	t.Helper()
	f := newFinder(secrets)
	seen := map[string]bool{}
	report := func(where string) func(form, at int) {
		return func(form, _ int) {
			if line := f.forms[form].name + " in " + where; !seen[line] {
				seen[line] = true
				found = append(found, line)
			}
		}
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	const part, overlap = 1 << 20, 2*window - 1
	buf, size := make([]byte, part), 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' {
			continue // so are the kernel's own pages, whose addresses are no numbers of ours
		}
		for at := from; at < to; at += part - overlap {
			n, err := mem.ReadAt(buf[:min(part, to-at)], at)
			if err != nil && err != io.EOF && n == 0 {
				break // of a device, or what has been unmapped meanwhile
			}
			size += n
			f.find(buf[:n], report(strings.Join(strings.Fields(line), " ")))
		}
	}
	if size == 0 {
		t.Fatal("nothing can be read")
	}
	f.find(registers(t, pid), report("registers"))
	slices.Sort(found)
	return found
}

// present fails the test if one of the secrets can't be found: it is the control.
func present(t *testing.T, pid int, when string, secrets ...secret) {
	t.Helper()
	all := slices.Clone(secrets)
	for i := range all {
		all[i].name = fmt.Sprintf("%s (%d)", all[i].name, i) // so that two sessions' differ
	}
	found := strings.Join(search(t, pid, all), "\n")
	for _, s := range all {
		if !strings.Contains(found, s.name) {
			t.Errorf("%s: %s isn't found in process %d: the search is wrong", when, s.name, pid)
		}
	}
}

// grace is how long after its end a secret may be there.
const grace = 5 * time.Second

// gone fails the test if any window of one of the secrets is there when grace is over.
func gone(t *testing.T, pid int, when string, secrets ...secret) {
	t.Helper()
	deadline := time.Now().Add(grace)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		last := time.Now().After(deadline)
		found := search(t, pid, secrets)
		if len(found) == 0 {
			return
		}
		if last {
			t.Errorf("%s: process %d still has\n\t%s", when, pid, strings.Join(found, "\n\t"))
			return
		}
		<-again.C
	}
}

// TestFinder holds the search against what it has to find, and what not.
func TestFinder(t *testing.T) {
	var s secret
	s.name = "it"
	rand.Read(s.bytes[:])
	f := newFinder([]secret{s})
	count := func(b []byte) (n int) {
		f.find(b, func(int, int) { n++ })
		return n
	}
	for _, form := range f.forms {
		for at := range len(form.text) - window + 1 {
			for _, length := range []int{window, window - 1} {
				b := bytes.Repeat([]byte{0xee}, 200)
				copy(b[at+7:], form.text[at:at+length])
				if got := count(b) > 0; got != (length == window) {
					t.Errorf("%s: %d bytes from %d on: found %v", form.name, length, at, got)
				}
			}
		}
	}
}
