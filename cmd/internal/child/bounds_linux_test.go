package child

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/floor"
	"vpn/noise/key"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

// Whatever an engine says, and however fast, its keeper reads no more of it than a
// burst and so much a second; one that rests is not slowed down.
func TestPace(t *testing.T) {
	for k, cost := range map[kind]int{kindEvent: 1, kindReply: 1, kindReady: 1, kindOpen: requestCost, kindMark: requestCost, kindFloor: requestCost} {
		now := time.Unix(1, 0)
		start := now
		p := newPace(now)
		const seconds = 10
		read := 0
		for now.Sub(start) < seconds*time.Second {
			rest := p.after(now, k)
			if read++; read*cost <= burst && rest > 0 {
				t.Fatalf("%s: slowed down after %d messages", k, read)
			}
			now = now.Add(rest)
			if rest == 0 && read*cost > 2*burst+seconds*rate {
				t.Fatalf("%s: never slowed down", k)
			}
		}
		if most := (burst + seconds*rate) / cost; read < most-1 || read > most+1 {
			t.Errorf("%s: %d messages are read in %d s, not %d", k, read, seconds, most)
		}
		if rest := p.after(now.Add(time.Hour), k); rest != 0 {
			t.Errorf("%s: slowed down by %v after a rest", k, rest)
		}
	}
}

// One engine after another, which all lie, have timestamps kept for few keys.
func TestFloorsAreFew(t *testing.T) {
	f := NewFloors(floor.New(t.TempDir()))
	now := time.Unix(1, 0)
	admitted := 0
	for i := range 60_000 { // one a second
		if f.admit(key.Public{byte(i), byte(i >> 8), byte(i >> 16), 1}, now) {
			admitted++
		}
		if !f.admit(key.Public{0, 0, 0, 1}, now) {
			t.Fatal("our own key is refused")
		}
		now = now.Add(time.Second)
	}
	if most := maxFloors + 59_999/int(floorAfter/time.Second); admitted != most {
		t.Errorf("%d keys, not %d", admitted, most)
	}
}

// anyPort opens some port of loopback, whichever is asked for.
type anyPort struct{}

func (anyPort) Open(uint16, uint32) (*udp.Sockets, error) { return udp.Loopback().Open(0, 0) }

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// FuzzPair is an engine that says anything, with descriptors or without, over a
// real pair: its keeper gets to the end, keeps no descriptor that came, and nothing
// of what was asked for but the ports and a few timestamps.
func FuzzPair(f *testing.F) {
	for _, m := range samples() {
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(`{"kind":"ready"}`), byte(0))
		f.Add([]byte(`{"kind":"open","id":1,"port":53,"mark":4294967295}`), b, byte(3))
	}
	f.Add([]byte(`{"kind":"floor","id":1,"peer":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","first":"7fffffffffffffff00000000"}`), []byte(`{"kind":"mark","id":2,"mark":7}`), byte(1))
	f.Add(make([]byte, maxMessage+1), []byte{}, byte(255))
	floors := filepath.Join(f.TempDir(), "floors")
	gone, err := os.FindProcess(1 << 30) // kill finds nobody
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, files byte) {
		before := descriptorsOpen(t)
		ours, theirs, err := newPair()
		if err != nil {
			t.Fatal(err)
		}
		ports := NewPorts(anyPort{})
		e := &Engine{
			config:  Config{Name: "fuzz", Ports: ports, Floors: NewFloors(floor.New(floors)), Log: slog.New(slog.DiscardHandler)},
			process: &process{Process: gone, ended: make(chan struct{})}, pair: ours, inbox: newOutbox(),
			ready: make(chan struct{}), events: make(chan tunnel.Event), done: make(chan struct{}),
		}
		listened := make(chan struct{})
		go func() { defer close(listened); e.listen() }()
		conn, err := net.FileConn(theirs)
		theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		var rights []byte
		if n := int(files) % 4; n > 0 {
			rights = unix.UnixRights([]int{1, 1, 1}[:n]...)
		}
		for _, b := range [][]byte{first, second} {
			// What does not fit or has nobody left to read it is refused.
			_, _, _ = conn.(*net.UnixConn).WriteMsgUnix(b, rights, nil)
		}
		conn.Close()
		<-listened
		close(e.process.ended)
		for writing := true; writing; { // timestamps, under way to the disk
			e.mu.Lock()
			writing = e.writing
			e.mu.Unlock()
		}
		ours.close()
		if err := ports.Close(); err != nil {
			t.Error(err)
		}
		if after := descriptorsOpen(t); after > before {
			t.Errorf("%d descriptors are open, %d before", after, before)
		}
		if n := len(e.config.Floors.known); n > 1 {
			t.Errorf("timestamps of %d keys", n)
		}
		if waiting := len(e.inbox.events) + len(e.inbox.moved); waiting > 2 {
			t.Errorf("%d events of two messages", waiting)
		}
	})
}
