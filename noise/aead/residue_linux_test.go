package aead

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
)

// A key that was erased is nowhere in the memory of the process that used it. The process is this test binary again, which gets the
// key masked, so that it has the key itself only where the code under test puts it.

const (
	residueChild = "AEAD_TEST_RESIDUE"
	mask         = 0xa5
)

func TestMain(m *testing.M) {
	if arg := os.Getenv(residueChild); arg != "" {
		residue(arg)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestNoResidue(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []string{"none", "seal", "open", "seal batch", "open batch"} {
		for _, erase := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, erased %v", use, erase), func(t *testing.T) {
				t.Parallel()
				masked := make([]byte, KeySize)
				rand.Read(masked)
				c := exec.Command(program)
				// A signal in the midst of the cipher would save registers where nobody can erase them.
				c.Env = append(os.Environ(), fmt.Sprintf("%s=%x/%s/%v", residueChild, masked, use, erase), "GODEBUG=asyncpreemptoff=1")
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("child: %v: %s", err, out)
				}
				if found := len(out) > 0; found == erase {
					t.Errorf("found in memory: %q", out)
				}
			})
		}
	}
}

// residue uses a key on several goroutines, erases it or not, and prints where half of it is still found.
func residue(arg string) {
	debug.SetGCPercent(-1) // nothing is swept that might be found
	f := strings.Split(arg, "/")
	masked, err := hex.DecodeString(f[0])
	if err != nil {
		panic(err)
	}
	var secret [KeySize]byte
	for i := range secret {
		secret[i] = masked[i] ^ mask
	}
	k, err := NewArena(nil).NewKey(&secret)
	if err != nil {
		panic(err)
	}
	clear(secret[:])
	done, end := make(chan struct{}), make(chan struct{})
	const goroutines = 4
	for range goroutines {
		go func() {
			use(k, f[1])
			done <- struct{}{}
			<-end // its stack stays
		}()
	}
	for range goroutines {
		<-done
	}
	if f[2] == "true" {
		k.Erase()
	}
	if err := search(masked); err != nil {
		panic(err)
	}
	close(end)
}

func use(k *Key, how string) {
	const n = 1420
	b := make([]byte, 8*n)
	switch how {
	case "seal":
		k.Seal(b[:n], 1)
	case "open":
		k.Open(b[:n], 1)
	case "seal batch":
		k.SealBatch(b, n, 16, 1)
	case "open batch":
		ms := make([]Sealed, 8)
		for i := range ms {
			ms[i].Text = b[i*n : (i+1)*n]
		}
		k.OpenBatch(ms)
	}
}

// search prints the mappings in which a half of the unmasked key stands.
func search(masked []byte) error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode[:2] != "rw" {
			continue
		}
		b := make([]byte, to-from)
		if _, err := io.ReadFull(io.NewSectionReader(mem, from, to-from), b); err != nil {
			continue // guard pages and the like
		}
		for i := range b { // what was read is masked, or it would be found itself
			b[i] ^= mask
		}
		for _, half := range [][]byte{masked[:16], masked[16:]} {
			if bytes.Contains(b, half) {
				fmt.Println(lines.Text())
			}
		}
	}
	return nil
}
