package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Journal tells what has been done to the host for one link, and how it is taken
// back. It is two files of the same form, one in RunDir, which a reboot ends, and
// one in LibDir, for what outlives it. Each line is a record:
//
//	{"boot":"..."}                   the first: the boot that what follows belongs to
//	{"id":7,"do":{...},"undo":{...}} a step, written before it is done
//	{"over":[7,8]}                   steps that are void
//	{"index":12}                     the link that was opened
//	{"up":{...}}                     everything has been done; the last one counts
//	{"down":true}                    and is being undone
//
// A last line without its end is what a crash leaves: its step was not done. Not
// safe for concurrent use, nor by two processes: a link's lock is its owner's.
type Journal struct {
	Link    string
	entries []Entry
	up      *UpRecord
	index   int
	last    int         // the highest number given
	rules   []FoundRule // that there were before the first hook of an up; nil: none was run
	run     file
	lib     file
}

// Entry is a step in a journal.
type Entry struct {
	ID   int
	Do   Action
	Undo Action // may be nil
	// Earlier: done before the last reboot.
	Earlier bool
}

// UpRecord is what [Journal.MarkUp] keeps of a link that is up.
type UpRecord struct {
	File      string `json:"file"`           // that it came from
	Port      uint16 `json:"port,omitempty"` // that is listened on
	Mark      uint32 `json:"mark,omitempty"`
	Auto      bool   `json:"auto,omitempty"` // the mark is not the file's: AutomaticMark says so
	Save      bool   `json:"save,omitempty"` // SaveConfig
	Heal      bool   `json:"heal,omitempty"`
	DownHooks []Hook `json:"hooks,omitempty"` // PreDown and PostDown as they were
	Absent    []int  `json:"absent,omitempty"`
}

// record is a line.
type record struct {
	Boot  string    `json:"boot,omitempty"`
	ID    int       `json:"id,omitempty"`
	Do    *encoded  `json:"do,omitempty"`
	Undo  *encoded  `json:"undo,omitempty"`
	Over  []int     `json:"over,omitempty"`
	Index int       `json:"index,omitempty"`
	Up    *UpRecord `json:"up,omitempty"`
	Down  bool      `json:"down,omitempty"`
}

// file is one of a journal's files. It is opened when it is first written to.
type file struct {
	path  string
	sync  bool // what is written has to outlive a power cut
	boot  string
	f     *os.File
	good  int64 // its length up to the last whole line
	begun bool  // there is a record of this boot
}

const bootIDPath = "/proc/sys/kernel/random/boot_id"

// OpenJournal reads the journal of a link. There need not be one: nothing is
// written before the first step. Close it after use.
func OpenJournal(link string) (*Journal, error) {
	boot, err := os.ReadFile(bootIDPath)
	if err != nil {
		return nil, fmt.Errorf("journal of %s: %w", link, err)
	}
	j := &Journal{Link: link}
	id := string(bytes.TrimSpace(boot))
	j.run = file{path: RunPath(link, journalName), boot: id}
	j.lib = file{path: LibPath(link, journalName), boot: id, sync: true}
	for _, f := range []*file{&j.run, &j.lib} {
		if err := j.read(f); err != nil {
			return nil, fmt.Errorf("journal of %s: %w", link, err)
		}
	}
	slices.SortStableFunc(j.entries, func(a, b Entry) int {
		if a.Earlier != b.Earlier {
			if a.Earlier {
				return -1
			}
			return 1
		}
		return a.ID - b.ID
	})
	return j, nil
}

const journalName = "journal"

// Journals returns the names of the links that have a journal.
func Journals() ([]string, error) {
	var links []string
	for _, dir := range []string{RunDir, LibDir} {
		found, err := filepath.Glob(filepath.Join(dir, "*", journalName))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			links = append(links, filepath.Base(filepath.Dir(path)))
		}
	}
	slices.Sort(links)
	return slices.Compact(links), nil
}

// read takes in one file.
func (j *Journal) read(f *file) error {
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for number, earlier := 1, false; ; number++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			return nil
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("%s:%d: not a record: %w", f.path, number, err)
		}
		if number == 1 || r.Boot != "" {
			if earlier = r.Boot != f.boot; earlier && !f.sync {
				return nil // what it tells of went with the boot: it is begun anew
			}
			f.begun = !earlier
		}
		j.take(r, earlier)
		text, f.good = rest, f.good+int64(len(line))+1
	}
}

// take takes in one record.
func (j *Journal) take(r record, earlier bool) {
	j.last = max(j.last, r.ID)
	switch {
	case r.Over != nil:
		j.drop(r.Over)
	case r.Index != 0:
		j.index = r.Index
	case r.Up != nil:
		j.up = r.Up
	case r.Down:
		j.up = nil
	case r.ID != 0:
		e := Entry{ID: r.ID, Earlier: earlier}
		if r.Do != nil {
			e.Do = r.Do.Action
		}
		if r.Undo != nil {
			e.Undo = r.Undo.Action
		}
		j.entries = append(j.entries, e)
	}
}

func (j *Journal) drop(ids []int) {
	gone := make(map[int]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	j.entries = slices.DeleteFunc(j.entries, func(e Entry) bool { return gone[e.ID] })
}

// Empty says whether there is nothing to undo.
func (j *Journal) Empty() bool { return len(j.entries) == 0 }

// Entries returns the steps that are in force, in the order in which they were
// done. The slice is the journal's.
func (j *Journal) Entries() []Entry { return j.entries }

// Up returns what MarkUp was last told, or nil: then the link never came up
// wholly, or not since the last reboot.
func (j *Journal) Up() *UpRecord { return j.up }

// Index returns the index of the link that was opened; 0: it is not known.
func (j *Journal) Index() int { return j.index }

// Close closes the files.
func (j *Journal) Close() error { return errors.Join(j.run.close(), j.lib.close()) }
