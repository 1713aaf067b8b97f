package dns

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// stateDir has a folder for each tunnel, with what outlives a reboot.
const stateDir = "/var/lib/vpn"

const backupName = "resolv.conf.json"

// backup is what Set keeps of a tunnel, in its folder. Backups are linked by what
// they hold: the first tunnel's has the file as it was, that of a second which
// came up later has the first's file, and so on; the last one's is in force. A
// tunnel that goes down is taken out of that chain, wherever it stands.
type backup struct {
	Original entry    `json:"original"` // what its file stands in the place of
	Settings Settings `json:"settings"`
}

// place is where a tunnel's file lies: at /etc/resolv.conf or in another tunnel's
// backup.
type place struct {
	above string // the other tunnel, "" for /etc/resolv.conf
	entry entry
	clean bool // just as we wrote it
}

// state is /etc/resolv.conf and all backups, while they are locked.
type state struct {
	live    entry
	backups map[string]*backup
}

func backupPath(link string) string { return filepath.Join(stateDir, link, backupName) }

// header is the first line of a file of ours, and says whose it is and what the
// sum of the rest was.
var header = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^# Made by vpn for (\S+) \(([0-9a-f]{16})\)[^\n]*\n`)
})

// headerAnywhere is that line where somebody has written above it.
var headerAnywhere = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^# Made by vpn for (\S+) \([0-9a-f]{16}\).*\n?`)
})

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:8])
}

// render returns a tunnel's file: its own servers alone, and what else was there.
func (s Settings) render(under []byte) []byte {
	body := s.lines()
	for line := range strings.Lines(string(under)) {
		word, value := keyword(line)
		switch {
		case word == "options", word == "sortlist":
		case (word == "search" || word == "domain") && len(s.Search) == 0:
		default:
			continue
		}
		body += word + " " + value + "\n"
	}
	return fmt.Appendf(nil, "# Made by vpn for %s (%s): `vpn down %[1]s` puts back what was here.\n%[3]s", s.Link, sum([]byte(body)), body)
}

// owner returns whose file it is, and whether it is as it was written.
func (e entry) owner() (link string, clean bool) {
	if match := header().FindSubmatch(e.Text); match != nil {
		return string(match[1]), sum(e.Text[len(match[0]):]) == string(match[2])
	}
	if match := headerAnywhere().FindSubmatch(e.Text); match != nil {
		return string(match[1]), false
	}
	return "", false
}

// clean returns an edited file without our lines. Where no name server is left,
// it gets the ones that were there before.
func (b *backup) clean(edited entry) entry {
	under := b.Original.content()
	before, had := nameservers(under), false
	var kept []string
	for line := range strings.Lines(string(edited.Text)) {
		word, value := keyword(line)
		ours := word == "nameserver" && slices.ContainsFunc(nameservers([]byte(line)), func(a netip.Addr) bool {
			return slices.Contains(b.Settings.Servers, a) && !slices.Contains(before, a)
		})
		ours = ours || word == "search" && len(b.Settings.Search) > 0 && slices.Equal(strings.Fields(value), b.Settings.Search)
		if ours || headerAnywhere().MatchString(line) {
			continue
		}
		had = had || word == "nameserver"
		kept = append(kept, line)
	}
	if !had {
		for line := range strings.Lines(string(under)) {
			if word, _ := keyword(line); word == "nameserver" || (word == "search" || word == "domain") && len(b.Settings.Search) > 0 {
				kept = append(kept, strings.TrimSuffix(line, "\n")+"\n")
			}
		}
	}
	edited.Text = []byte(strings.Join(kept, ""))
	return edited
}

// find returns where a tunnel's file lies.
func (s *state) find(link string) (p place, ok bool) {
	if of, clean := s.live.owner(); of == link {
		return place{"", s.live, clean}, true
	}
	for above, b := range s.backups {
		if of, clean := b.Original.owner(); of == link && above != link {
			return place{above, b.Original, clean}, true
		}
	}
	return place{}, false
}

// put writes what shall lie at a place.
func (s *state) put(p place, e entry) error {
	if p.above == "" {
		return e.write(resolvConf)
	}
	s.backups[p.above].Original = e
	return s.keep(p.above)
}

// keep writes a tunnel's backup.
func (s *state) keep(link string) error {
	text, err := json.Marshal(s.backups[link])
	if err != nil {
		return err
	}
	path := backupPath(link)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return entry{Text: text, Mode: 0o600}.write(path)
}

// locked calls f with the state, which nobody else changes meanwhile.
func locked(f func(*state) error) error {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(stateDir)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := readState()
	if err != nil {
		return err
	}
	return f(s)
}

func readState() (*state, error) {
	s := &state{backups: map[string]*backup{}}
	var err error
	if s.live, err = readEntry(resolvConf); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(backupPath("*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // who reads without the lock may see one go
		}
		if err != nil {
			return nil, err
		}
		b := new(backup)
		if err := json.Unmarshal(text, b); err != nil {
			return nil, fmt.Errorf("%s: %w (it has what %s was before; remove it if that is right as it is)", path, err, resolvConf)
		}
		s.backups[filepath.Base(filepath.Dir(path))] = b
	}
	return s, nil
}

// setFile keeps what is there before it writes, so that a crash between the two
// leaves a backup of what is still in force.
func setFile(settings Settings) error {
	link := settings.Link
	return locked(func(s *state) error {
		b, p := s.backups[link], place{}
		was, found := s.find(link)
		switch {
		case b != nil && found && was.clean:
			b.Settings, p = settings, was
		case b != nil && found: // somebody's edit is kept for later
			b.Original, p = b.clean(was.entry), was
			b.Settings = settings
		case found:
			lost := backup{Settings: settings}
			b, p = &backup{lost.clean(was.entry), settings}, was
		case b != nil && s.isForeign():
			// Somebody has written another: that is now what all tunnels stand on.
			b.Settings = settings
			if err := s.layBeneath(link, s.live); err != nil {
				return err
			}
		default:
			b = &backup{s.live, settings}
		}
		s.backups[link] = b
		if err := s.keep(link); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if !b.Original.Missing && b.Original.Target == "" {
			mode = b.Original.Mode
		}
		err := s.put(p, entry{Text: settings.render(b.Original.content()), Mode: mode})
		if err != nil && !found {
			return errors.Join(err, os.Remove(backupPath(link)))
		}
		return err
	})
}

// isForeign says whether no tunnel's file is in force.
func (s *state) isForeign() bool {
	of, _ := s.live.owner()
	return s.backups[of] == nil
}

// layBeneath puts an entry in the place of what was there before the first of the
// tunnels that a tunnel's file stands on.
func (s *state) layBeneath(link string, e entry) error {
	for range s.backups {
		below, _ := s.backups[link].Original.owner()
		if s.backups[below] == nil || below == link {
			break
		}
		link = below
	}
	s.backups[link].Original = e
	return s.keep(link)
}

func unsetFile(link string) (note string, err error) {
	err = locked(func(s *state) error {
		b := s.backups[link]
		p, found := s.find(link)
		switch {
		case b == nil && !found:
			return errors.Join(discard(resolvConf), discard(backupPath(link)))
		case b == nil:
			b = new(backup)
			note = fmt.Sprintf("%s is gone, so that nobody knows which name servers were set before %s: %s has none now", backupPath(link), link, resolvConf)
			b.Settings.Servers = nameservers(p.entry.Text)
			err = s.put(p, b.clean(p.entry))
		case found && p.clean:
			err = s.put(p, b.Original)
		case found:
			note = changedNote(link)
			err = s.put(p, b.clean(p.entry))
		default:
			note, err = s.takeOut(link)
		}
		if err != nil {
			return err
		}
		if err := errors.Join(discard(resolvConf), discard(backupPath(link))); err != nil {
			return err
		}
		if err := os.Remove(backupPath(link)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(filepath.Join(stateDir, link))
	})
	return note, err
}

func changedNote(link string) string {
	return fmt.Sprintf("%s was changed by somebody while %s was up: only our lines have been taken out of it", resolvConf, link)
}

// takeOut deals with a file that does not say that it is the tunnel's: it was
// never written, or somebody has written another.
func (s *state) takeOut(link string) (note string, err error) {
	b := s.backups[link]
	if of, _ := s.live.owner(); of != "" || s.live.equal(b.Original) {
		return "", nil
	}
	cleaned := b.clean(s.live)
	if s.live.Missing || s.live.Target != "" || bytes.Equal(cleaned.Text, s.live.Text) {
		return fmt.Sprintf("%s was replaced by somebody while %s was up: it stays as it is", resolvConf, link), nil
	}
	return changedNote(link), cleaned.write(resolvConf)
}

// presentFile wants the tunnel's file to be in force, or to wait for its turn
// below that of another tunnel.
func presentFile(settings Settings) (bool, error) {
	s, err := readState()
	if err != nil {
		return false, err
	}
	p, found := s.find(settings.Link)
	if b := s.backups[settings.Link]; !found || b == nil {
		return false, nil
	}
	return bytes.Contains(p.entry.Text, []byte(settings.lines())), nil
}

// underneath returns the resolv.conf that is in force, or that would be if it were
// not for one tunnel.
func underneath(link string) ([]byte, error) {
	s, err := readState()
	if err != nil {
		return nil, err
	}
	if of, _ := s.live.owner(); of == link && s.backups[link] != nil {
		return s.backups[link].Original.content(), nil
	}
	return s.live.content(), nil
}
