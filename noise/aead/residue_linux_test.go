package aead

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
)

// A key that was erased is nowhere in the memory of the process that used it, and neither is what vector code has made of it, whether
// it is erased or not. The process is this test binary again, which gets all that it is to look for masked, so that it has the key
// itself only where the code under test puts it.

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
	for _, v := range append(vectors(), nil) {
		for _, use := range []string{"none", "seal", "open", "forged", "seal batch", "open batch", "short", "two", "seal groups", "open groups"} {
			for _, erase := range []bool{false, true} {
				if !erase && use != "none" && use != "open batch" {
					continue // that a key is found at all needs no more proof
				}
				t.Run(fmt.Sprintf("%s, %s, erased %v", nameOf(v), use, erase), func(t *testing.T) {
					t.Parallel()
					secrets := newSecrets(v != nil)
					c := exec.Command(program)
					// A signal in the midst of x/crypto's code would save registers where nobody can erase them.
					c.Env = append(os.Environ(), fmt.Sprintf("%s=%x/%s/%v", residueChild, secrets, use, erase), "GODEBUG=asyncpreemptoff=1",
						selector+"="+nameOf(v))
					out, err := c.CombinedOutput()
					if err != nil {
						t.Fatalf("child: %v: %s", err, out)
					}
					keys, others := strings.Count(string(out), "key "), strings.Count(string(out), "other ")
					if keys > 0 == erase || others > 0 {
						t.Errorf("found in memory: %q", out)
					}
				})
			}
		}
	}
}

// newSecrets returns a key, and what is made of it for the first messages: one-time keys, also r as it is clamped, and key stream; all
// masked, in pieces of 16 bytes.
func newSecrets(derived bool) []byte {
	key := make([]byte, KeySize)
	rand.Read(key)
	all := bytes.Clone(key)
	for _, counter := range []uint64{0, 1, 2, 7} {
		if !derived {
			break // x/crypto's are not ours to erase
		}
		iv := binary.LittleEndian.AppendUint64(make([]byte, 4), counter)
		block := chachaBlock(key, iv, 0)
		clamped := bytes.Clone(block[:16])
		for i, and := range unhexed("ffffff0ffcffff0ffcffff0ffcffff0f") {
			clamped[i] &= and
		}
		all = append(append(all, block...), clamped...)
	}
	for i := range all {
		all[i] ^= mask
	}
	return all
}

func unhexed(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// theSecret is the child's copy of the key. It is not on the stack, which leaves copies behind when it grows.
var theSecret [KeySize]byte

// residue uses a key on several goroutines, erases it or not, and prints where half of it, or what was made of it, is still found.
func residue(arg string) {
	debug.SetGCPercent(-1) // nothing is swept that might be found
	f := strings.Split(arg, "/")
	masked, err := hex.DecodeString(f[0])
	if err != nil {
		panic(err)
	}
	secret := &theSecret
	for i := range secret {
		secret[i] = masked[i] ^ mask
	}
	k, err := NewArena(nil).NewKey(secret)
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
	b := make([]byte, 40*n)
	switch how {
	case "seal":
		k.Seal(b[:n], 1)
	case "open":
		k.Open(b[:n], 1)
	case "forged":
		b[0] = 1
		k.Open(b[:n], 1)
	case "short":
		k.SealBatch(b[:4*96], 96, 16, 1)
	case "two":
		k.SealBatch(b[:2*n-700], n, 16, 1)
	case "seal batch":
		k.SealBatch(b[:8*n], n, 16, 1)
	case "seal groups":
		k.SealBatch(b, n, 16, 1)
	case "open batch", "open groups":
		if how == "open batch" {
			b = b[:8*n]
		}
		ms := make([]Sealed, len(b)/n)
		k.SealBatch(b, n, 0, 0)
		for i := range ms {
			ms[i] = Sealed{Text: b[i*n : (i+1)*n], Counter: uint64(i)}
		}
		ms[3].Text[9] ^= 1
		k.OpenBatch(ms)
	}
}

// search prints where 16 bytes of the unmasked secrets stand, in all memory that was ever written to.
func search(masked []byte) error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return err
	}
	pages, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err
	}
	const (
		overlap = 15 // of parts, less than what is looked for
		touched = 3 << 62
	)
	size := int64(os.Getpagesize())
	entries, part := make([]byte, 8<<15), make([]byte, 1<<18)
	look := func(from, to int64, mapping string) {
		for at := from; at < to; at += int64(len(part)) - overlap {
			b := part[:min(int64(len(part)), to-at)]
			if _, err := io.ReadFull(io.NewSectionReader(mem, at, int64(len(b))), b); err != nil {
				return // guard pages and the like
			}
			for i := range b { // what was read is masked, or it would be found itself
				b[i] ^= mask
			}
			report(masked, b, mapping)
			clear(b) // part itself is read, too, and has unmasked what lies before it
		}
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode[:2] != "rw" {
			continue
		}
		begin := int64(-1) // of pages that were touched, one after the other
		for at := from; at < to; {
			b := entries[:min(int64(len(entries)), 8*(to-at)/size)]
			if _, err := pages.ReadAt(b, at/size*8); err != nil {
				return err
			}
			for ; len(b) > 0; b, at = b[8:], at+size {
				switch is := binary.LittleEndian.Uint64(b)&touched != 0; {
				case is && begin < 0:
					begin = at
				case !is && begin >= 0:
					look(begin, at, lines.Text())
					begin = -1
				}
			}
		}
		if begin >= 0 {
			look(begin, to, lines.Text())
		}
	}
	return nil
}

// report prints which of the masked pieces stand in b.
func report(masked, b []byte, mapping string) {
	for i := 0; i < len(masked); i += 16 {
		if bytes.Contains(b, masked[i:i+16]) {
			what := "key"
			if i >= KeySize {
				what = "other"
			}
			fmt.Println(what, i, mapping)
		}
	}
}
