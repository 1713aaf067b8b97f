package offload

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// eachKernel runs a test with each kernel of this machine in place of the chosen one.
func eachKernel(t *testing.T, test func(t *testing.T)) {
	fastest := chosen
	defer func() { chosen = fastest }()
	for _, chosen = range kernels() {
		t.Run("kernel "+strconv.Itoa(int(chosen)), test)
	}
}

// checkSum holds each kernel's sum of b, and its copy, against bytes added one by one. room is longer than b.
func checkSum(t *testing.T, b, room []byte, initial uint64) {
	t.Helper()
	want := naiveFold(naiveSum(b) + naive64(initial))
	for _, k := range kernels() {
		if got := Fold(k.sum(b, initial)); got != want && naiveZero(got) != naiveZero(want) {
			t.Fatalf("kernel %d, %d bytes on top of %#x: %#x, want %#x", k, len(b), initial, got, want)
		}
		for i := range room {
			room[i] = 0xaa
		}
		if got := Fold(k.copySum(room, b, initial)); got != want && naiveZero(got) != naiveZero(want) {
			t.Fatalf("kernel %d, copy of %d bytes on top of %#x: %#x, want %#x", k, len(b), initial, got, want)
		}
		if !bytes.Equal(room[:len(b)], b) {
			t.Fatalf("kernel %d, copy of %d bytes differs", k, len(b))
		}
		if i := slices.IndexFunc(room[len(b):], func(v byte) bool { return v != 0xaa }); i >= 0 {
			t.Fatalf("kernel %d, copy of %d bytes writes %d bytes behind it", k, len(b), i+1)
		}
	}
}

var initials = []uint64{0, 1, 0xffff, 0xffffffff, 1<<63 - 1, 1<<64 - 0x10000, 1<<64 - 1}

func TestKernelsEveryLength(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	const most = 2048
	room := make([]byte, most+64+100)
	for name, from := range map[string][]byte{
		"random": randomBytes(r, most+64),
		"ones":   bytes.Repeat([]byte{0xff}, most+64), // every addition carries
		"zeroes": make([]byte, most+64),
		"one":    append([]byte{1}, make([]byte, most+63)...),
		"odd":    bytes.Repeat([]byte{0, 0xff}, most/2+32),
		"even":   bytes.Repeat([]byte{0xff, 0}, most/2+32),
	} {
		t.Run(name, func(t *testing.T) {
			for length := range most + 1 {
				at := length * 7 % 64
				checkSum(t, from[at:at+length], room[length%61:][:length+33], initials[length%len(initials)])
			}
		})
	}
}

func TestKernelsEveryAlignment(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	b, room := randomBytes(r, 1024), make([]byte, 1024)
	for _, length := range []int{64, 65, 127, 128, 129, 191, 255, 257, 511, 600} {
		for from := range 64 {
			for to := range 64 {
				checkSum(t, b[from:from+length], room[to:][:length+64], r.Uint64())
			}
		}
	}
}

func TestKernelsLongest(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	random, ones := randomBytes(r, MaxPacket), bytes.Repeat([]byte{0xff}, MaxPacket)
	room := make([]byte, MaxPacket+64)
	for range 200 {
		length, initial := r.IntN(MaxPacket+1), r.Uint64()
		checkSum(t, random[:length], room, initial)
		checkSum(t, ones[:length], room, initial)
	}
	checkSum(t, random, room, 0)
	checkSum(t, ones, room, 1<<64-1)
}

// FuzzSum compares the kernels with one another and with the naive twin, in one piece and in two. RFC 1071 (2)(B): the sum of a piece
// that begins in the middle of a word is turned round.
func FuzzSum(f *testing.F) {
	f.Add([]byte(nil), uint64(0), uint16(0))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint64(1<<64-1), uint16(131))
	f.Add(bytes.Repeat([]byte{0, 0xff, 1}, 700), uint64(0xffff), uint16(64))
	f.Add(make([]byte, MaxPacket), uint64(1), uint16(40001))
	room := make([]byte, 1<<17)
	f.Fuzz(func(t *testing.T, b []byte, initial uint64, cut uint16) {
		if len(b) >= len(room) {
			return
		}
		at := min(int(cut), len(b))
		checkSum(t, b, room[:len(b)+1], initial)
		checkSum(t, b[at:], room[at%64:][:len(b)-at+1], initial)
		want := naiveFold(naiveSum(b) + naive64(initial))
		for _, k := range kernels() {
			second := Fold(k.sum(b[at:], 0))
			if at%2 == 1 {
				second = second<<8 | second>>8
			}
			got := Fold(uint64(Fold(k.sum(b[:at], initial))) + uint64(second))
			if got != want && naiveZero(got) != naiveZero(want) {
				t.Fatalf("kernel %d, %d bytes cut at %d on top of %#x: %#x, want %#x", k, len(b), at, initial, got, want)
			}
			if at%2 == 0 {
				if got := Fold(k.sum(b[at:], k.sum(b[:at], initial))); got != want && naiveZero(got) != naiveZero(want) {
					t.Fatalf("kernel %d, %d bytes in parts of %d: %#x, want %#x", k, len(b), at, got, want)
				}
			}
		}
	})
}

// TestGenerated runs the generator as the go:generate line has it, in a copy of its folder.
func TestGenerated(t *testing.T) {
	source, err := os.ReadFile("checksum.go")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(source), "\n//go:generate ")
	if !found {
		t.Fatal("no go:generate line")
	}
	line, _, _ = strings.Cut(line, "\n")
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "internal/gen"), os.DirFS("internal/gen")); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", strings.Fields(line)[1:]...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	const name = "sum_amd64.s"
	want, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what %q writes (%v): run go generate", name, line, err)
	}
}
