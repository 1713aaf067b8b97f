package ipstack

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTransfer sends much both ways at once over wires of all kinds, and closes
// each end when it has written.
func TestTransfer(t *testing.T) {
	lossy := func() mangle { return every(13, lose) }
	bad := func() mangle { return lossy().then(every(7, double)).then(late(11, 5)) }
	worst := func() mangle { return every(2, lose).then(double).then(late(3, 2)) }
	tests := []struct {
		name        string
		there, back mangle
		size        int
	}{
		{"perfect", perfect, perfect, 16 << 20},
		{"loss there", lossy(), perfect, 2 << 20},
		{"loss back", perfect, lossy(), 2 << 20},
		{"doubled", double, double, 2 << 20},
		{"late", late(5, 3), late(4, 40), 2 << 20},
		{"all of it", bad(), bad(), 1 << 20},
		{"half is lost", worst(), worst(), 100 << 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, test.there, test.back, func(t *testing.T, p pair) {
				a, b := p.connect(t, right)
				random := rand.NewChaCha8([32]byte{1})
				there, back := make([]byte, test.size), make([]byte, test.size/3)
				random.Read(there)
				random.Read(back)
				var running sync.WaitGroup
				running.Go(func() { exchange(t, "left", a, there, back) })
				running.Go(func() { exchange(t, "right", b, back, there) })
				running.Wait()
				p.checkForgotten(t)
			})
		})
	}
}

// exchange writes and reads at the same time, in pieces of many sizes. What is to
// be read ends when the other end has closed, or with the bytes that it wrote.
func exchange(t *testing.T, who string, c net.Conn, write, read []byte) {
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; len(write) > 0; n = n*3%70001 + 1 {
			k, err := c.Write(write[:min(n, len(write))])
			if err != nil {
				t.Errorf("%s: write: %v", who, err)
				return
			}
			write = write[k:]
		}
	})
	got := make([]byte, len(read))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, read) {
		t.Errorf("%s: %v, equal: %v", who, err, bytes.Equal(got, read))
	}
	running.Wait()
	if err := c.Close(); err != nil {
		t.Errorf("%s: close: %v", who, err)
	}
}

// TestOneLoss loses one packet of many: the later ones tell of it, so that no
// timer is waited for.
func TestOneLoss(t *testing.T) {
	there := func(n int, p []byte) [][]byte {
		if n == 20 {
			return nil
		}
		return [][]byte{p}
	}
	inBubble(t, there, perfect, func(t *testing.T, p pair) {
		began := time.Now()
		a, b := p.connect(t, right)
		sent := make([]byte, 100<<10)
		rand.NewChaCha8([32]byte{4}).Read(sent)
		if _, err := a.Write(sent); err != nil {
			t.Error(err)
		}
		a.Close()
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(sent))
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took a wait of %v", d)
		}
		b.Close()
	})
}

// TestClose ends streams with all that was written, from one side and from both,
// whether or not much of it is lost.
func TestClose(t *testing.T) {
	message := bytes.Repeat([]byte("all that was written"), 1000)
	for name, m := range map[string]func() mangle{
		"perfect": func() mangle { return perfect },
		"bad":     func() mangle { return every(3, lose).then(late(5, 2)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, m(), m(), func(t *testing.T, p pair) {
				a, b := p.connect(t, right)
				if _, err := a.Write(message); err != nil {
					t.Error(err)
				}
				a.Close()
				if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, message) {
					t.Errorf("%d bytes, %v; want %d and the end", len(got), err, len(message))
				}
				if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v after the end", n, err)
				}
				b.Close()
				b.Close()
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("read of what is closed: %v", err)
				}
				if _, err := a.Write(message); !errors.Is(err, net.ErrClosed) {
					t.Errorf("write to what is closed: %v", err)
				}
				p.checkForgotten(t)
				a, b = p.connect(t, right)
				a.Close()
				b.Close()
				p.checkForgotten(t)
			})
		})
	}
}

// TestReset closes an end that does not read what comes: the other gets to know.
func TestReset(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		if _, err := a.Write([]byte("nobody reads this")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		b.Close()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errReset) {
			t.Errorf("read: %v, want %v", err, errReset)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, errReset) {
			t.Errorf("write: %v, want %v", err, errReset)
		}

		a, b = p.connect(t, right)
		b.Close() // before anything comes
		var err error
		for err == nil {
			_, err = a.Write(make([]byte, 10000))
		}
		if !errors.Is(err, errReset) {
			t.Errorf("write: %v, want %v", err, errReset)
		}
		p.checkForgotten(t)
	})
}

// TestNoRoom lets a reader rest while the other end writes as much as it can, and
// loses the news that there is room again.
func TestNoRoom(t *testing.T) {
	var full bool // guarded by synctest.Wait
	back := func(n int, p []byte) [][]byte {
		if full {
			full = false
			return nil
		}
		return [][]byte{p}
	}
	inBubble(t, perfect, back, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		message := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{2}).Read(message)
		go func() {
			if _, err := a.Write(message); err != nil {
				t.Error(err)
			}
			a.Close()
		}()
		<-time.After(time.Minute) // of the bubble: longer than there is patience with who does not answer
		synctest.Wait()
		full = true
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(message))
		}
		synctest.Wait()
		if full {
			t.Error("nothing was lost")
		}
		b.Close()
		p.checkForgotten(t)
	})
}

// TestSlowReader rests as above, and loses nothing: who writes goes on without a wait.
func TestSlowReader(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		sent := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{5}).Read(sent)
		go func() {
			if _, err := a.Write(sent); err != nil {
				t.Error(err)
			}
			a.Close()
		}()
		<-time.After(time.Minute) // of the bubble
		began := time.Now()
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(sent))
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("it took a wait of %v", d)
		}
		b.Close()
	})
}

// TestDeadlines lets reads and writes wait until one passes, also one that is set
// meanwhile, and goes on after it.
func TestDeadlines(t *testing.T) {
	inBubble(t, perfect, perfect, func(t *testing.T, p pair) {
		a, b := p.connect(t, right)
		wants := func(what string, err error) {
			t.Helper()
			var timeout net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %v, want that of a deadline", what, err)
			}
		}
		began := time.Now()
		a.SetDeadline(began.Add(time.Minute))
		_, err := a.Read(make([]byte, 1))
		wants("read", err)
		if d := time.Since(began); d != time.Minute {
			t.Errorf("it waited %v", d)
		}
		synctest.Wait()
		_, err = a.Write([]byte("x"))
		wants("write", err)

		a.SetDeadline(time.Time{})
		done := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		a.SetReadDeadline(time.Unix(1, 0)) // as net/http does to wake a read
		wants("read that waits", <-done)
		a.SetReadDeadline(time.Now().Add(time.Minute))
		a.SetReadDeadline(time.Now().Add(time.Hour)) // instead of it
		go func() {
			<-time.After(2 * time.Minute)
			b.Write([]byte("y"))
		}()
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read after it: %d, %v", n, err)
		}

		a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write(make([]byte, 1<<20)) // more than there is room for
		wants("write that waits", err)
		a.SetWriteDeadline(time.Time{})
		go io.Copy(io.Discard, b)
		if k, err := a.Write(make([]byte, 1<<20)); n >= 1<<20 || k != 1<<20 || err != nil {
			t.Errorf("%d written, and after it %d, %v", n, k, err)
		}
		a.Close()
	})
}
