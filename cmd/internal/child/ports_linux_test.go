package child

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/tunnel/udp"
)

// inode tells a socket from another.
func inode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var st unix.Stat_t
	err := descriptors([]*os.File{f}, func(fds []int) error { return unix.Fstat(fds[0], &st) })
	if err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// open opens a port, and returns the sockets' inodes and what the kernel says is
// their mark.
func open(t *testing.T, p *Ports, port uint16, mark uint32) (inodes []uint64, marks []int, bound uint16) {
	t.Helper()
	files, bound, err := p.Open(port, mark)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	for _, f := range files {
		inodes = append(inodes, inode(t, f))
		err := descriptors([]*os.File{f}, func(fds []int) error {
			mark, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_MARK)
			marks = append(marks, mark)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if now, with := p.Current(); now != bound || with != mark {
		t.Errorf("port %d with mark %d is said to be open, want %d and %d", now, with, bound, mark)
	}
	return inodes, marks, bound
}

// The same port is the same sockets, and so is any port.
func TestPorts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for marks")
	}
	t.Run("one socket", func(t *testing.T) { testPorts(t, udp.Loopback()) })
	t.Run("several", func(t *testing.T) { testPorts(t, udp.Spread(4)) })
}

func testPorts(t *testing.T, opener udp.Opener) {
	p := NewPorts(opener)
	defer p.Close()
	if err := p.SetMark(9); err != nil {
		t.Fatal(err)
	}
	first, _, port := open(t, p, 0, 0)
	for _, again := range []uint16{0, port} {
		same, marks, bound := open(t, p, again, 7)
		if bound != port || !slices.Equal(same, first) || slices.Min(marks) != 7 || slices.Max(marks) != 7 {
			t.Errorf("asked for %d: sockets %v with port %d and marks %v, want %v and %d", again, same, bound, marks, first, port)
		}
	}
	if err := p.SetMark(8); err != nil {
		t.Fatal(err)
	}
	if _, marks, _ := open(t, p, 0, 8); slices.Min(marks) != 8 || slices.Max(marks) != 8 {
		t.Errorf("marks are %v", marks)
	}

	other := NewPorts(opener)
	defer other.Close()
	_, _, taken := open(t, other, 0, 0)
	if _, _, err := p.Open(taken, 8); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
	if same, _, _ := open(t, p, port, 8); !slices.Equal(same, first) {
		t.Error("what was open is gone")
	}
	other.Close()
	changed, _, bound := open(t, p, taken, 8)
	if bound != taken || changed[0] == first[0] {
		t.Error("another port has the same socket")
	}
	// The one before is closed.
	if _, _, err := other.Open(port, 0); err != nil {
		t.Error(err)
	}
}

// A keeper that takes the place of another takes its sockets.
func TestPortsAdopt(t *testing.T) {
	before := NewPorts(udp.Spread(4))
	files, port, err := before.Open(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	before.Close()
	after := NewPorts(udp.Loopback())
	defer after.Close()
	if err := after.Adopt(files, 0); err != nil {
		t.Fatal(err)
	}
	var inodes []uint64
	for _, f := range files {
		inodes = append(inodes, inode(t, f))
	}
	if same, _, bound := open(t, after, port, 0); bound != port || !slices.Equal(same, inodes) {
		t.Error("they are other sockets")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := after.Adopt([]*os.File{r}, 0); err == nil || !strings.Contains(err.Error(), "socket") {
		t.Errorf("a pipe was adopted: %v", err)
	}
}
