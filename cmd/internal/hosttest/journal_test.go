//go:build linux

package hosttest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/tun/host"
)

const runJournal = "/run/vpn/wg0/journal"

// A crash in the middle of a line: the step was not done.
func TestTornLine(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	p.up("wg0", configs["site"])
	p.owner("wg0").close()
	text := p.ReadFile(runJournal) + "\n"
	for _, torn := range []string{`{"id":99,"do":{"add-rou`, `{`, "\x00\x00\x00\x00"} {
		p.WriteFile(runJournal, text+torn, 0o600)
		p.journal("wg0", func(j *host.Journal) {
			if j.Up() == nil || j.Empty() {
				t.Errorf("%q: the rest is not read", torn)
			}
			id, err := j.Append(host.Step{Do: host.SetLink{Link: "wg0", MTU: 1280}})
			if err != nil {
				t.Fatal(err)
			}
			if err := j.End(id); err != nil {
				t.Fatal(err)
			}
		})
		if got := p.ReadFile(runJournal); strings.Contains(got, torn+"{") {
			t.Errorf("%q: appended to what is no line: %s", torn, got)
		}
		p.journal("wg0", func(*host.Journal) {}) // reads it
	}
	p.down("wg0")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestDamagedJournal(t *testing.T) {
	p := newPlace(t)
	p.up("wg0", configs["site"])
	text := p.ReadFile(runJournal)
	p.WriteFile(runJournal, strings.Replace(text, "\n{", "\nx{", 1)+"\n", 0o600)
	p.Do(func() {
		_, err := host.OpenJournal("wg0")
		if err == nil || !strings.HasPrefix(err.Error(), "journal of wg0: "+runJournal+":2: not a record") {
			t.Errorf("error: %v", err)
		}
	})
}

// Of what was done before a reboot, only what outlives one is undone.
func TestEarlierBoot(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	p.up("wg0", "[Interface]\nAddress = 10.0.0.1/24\nDNS = 10.0.0.53\n")
	if !strings.Contains(p.ReadFile("/etc/resolv.conf"), "10.0.0.53") {
		t.Fatal("there is no name server to undo")
	}
	p.owner("wg0").close()
	p.MustRun("ip", "link", "del", "wg0")
	// The link is another's now.
	p.MustRun("ip", "tuntap", "add", "dev", "wg0", "mode", "tun")
	const libJournal = "/var/lib/vpn/wg0/journal"
	for _, path := range []string{runJournal, libJournal} {
		_, rest, _ := strings.Cut(p.ReadFile(path), "\n")
		p.WriteFile(path, "{\"boot\":\"before\"}\n"+rest+"\n", 0o600)
	}
	p.journal("wg0", func(j *host.Journal) {
		if j.Up() != nil || len(j.Entries()) != 1 || !j.Entries()[0].Earlier {
			t.Errorf("entries: %+v", j.Entries())
		}
		// What is done now is of this boot, in the same file.
		if _, err := j.Append(host.Step{Do: host.RemoveFile{Path: "/var/lib/x"}, Undo: host.RemoveFile{Path: "/var/lib/x"}}); err != nil {
			t.Fatal(err)
		}
	})
	p.journal("wg0", func(j *host.Journal) {
		if e := j.Entries(); len(e) != 2 || !e[0].Earlier || e[1].Earlier {
			t.Errorf("entries: %+v", e)
		}
	})
	p.WriteFile("/var/lib/x", "half of it", 0o600)
	p.down("wg0")
	p.Do(func() {
		if _, err := os.Stat("/var/lib/x"); !os.IsNotExist(err) {
			t.Errorf("the file is left: %v", err)
		}
	})
	p.MustRun("ip", "link", "del", "wg0")
	if diff := cmp.Diff(without(before, "send_redirects"), without(p.facts(), "send_redirects", "shared-by")); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// What another version has written stays in the journal, and all else is undone.
func TestUnknownEntry(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	p.up("wg0", configs["site"])
	p.owner("wg0").close()
	p.WriteFile(runJournal, p.ReadFile(runJournal)+"\n"+`{"id":99,"do":{"paint":{"colour":"red"}},"undo":{"unpaint":{"colour":"red"}}}`+"\n", 0o600)
	p.journal("wg0", func(j *host.Journal) {
		err := host.Undo(context.Background(), j, quiet)
		if err == nil || !strings.Contains(err.Error(), `"unpaint"`) || !strings.Contains(err.Error(), runJournal) {
			t.Errorf("error: %v", err)
		}
	})
	if diff := cmp.Diff(before, without(p.facts(), runJournal)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	p.journal("wg0", func(j *host.Journal) {
		if e := j.Entries(); len(e) != 1 || e[0].ID != 99 {
			t.Errorf("left: %+v", e)
		}
	})
}

func TestJournalsAreListed(t *testing.T) {
	p := newPlace(t)
	p.up("wg1", configs["site"])
	p.Do(func() {
		links, err := host.Journals()
		if diff := cmp.Diff([]string{"wg1"}, links); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	})
	if mode := p.MustRun("stat", "-c", "%a", "/run/vpn", "/run/vpn/wg1", "/run/vpn/wg1/journal"); mode != "700\n700\n600\n" {
		t.Errorf("modes: %s", mode)
	}
}
