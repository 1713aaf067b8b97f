//go:build linux

package churntest

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vpn/cmd/internal/testnet"
)

// countGoroutines reads the Go runtime's table of goroutines out of a process's memory, by what the program's debugging information says
// of it, and counts those that live.
func countGoroutines(pid int) (int, error) {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, err
	}
	where, known := runtimes[program]
	if !known {
		if where, err = runtimeOf(program); err != nil {
			return 0, err
		}
		runtimes[program] = where
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = memory.Close() }()
	word := func(at uint64, size int) uint64 {
		var b [8]byte
		if _, err2 := memory.ReadAt(b[:size], int64(at)); err2 != nil {
			err = err2
		}
		return binary.NativeEndian.Uint64(b[:])
	}
	const dead = 6 // _Gdead of the runtime: one that has ended, and is kept for another
	live := 0
	table := word(where.table, 8)
	for i := range word(where.count, 8) {
		if status := word(word(table+8*i, 8)+where.status, 4); status&0xff != dead {
			live++
		}
	}
	return live, err
}

// goRuntime says where a program keeps its goroutines.
type goRuntime struct {
	table, count uint64 // addresses
	status       uint64 // place in a goroutine
}

// runtimes are those of the programs that were looked into: it takes a while.
var runtimes = map[string]goRuntime{}

func runtimeOf(program string) (goRuntime, error) {
	file, err := elf.Open(program)
	if err != nil {
		return goRuntime{}, err
	}
	defer func() { _ = file.Close() }()
	var where goRuntime
	symbols, err := file.Symbols()
	if err != nil {
		return goRuntime{}, err
	}
	for _, s := range symbols {
		switch s.Name {
		case "runtime.allgptr":
			where.table = s.Value
		case "runtime.allglen":
			where.count = s.Value
		}
	}
	info, err := file.DWARF()
	if err != nil {
		return goRuntime{}, err
	}
	entries := info.Reader()
	for inG := false; ; {
		e, err := entries.Next()
		if err != nil || e == nil {
			return goRuntime{}, fmt.Errorf("no field atomicstatus of runtime.g: %w", err)
		}
		switch name, _ := e.Val(dwarf.AttrName).(string); {
		case e.Tag == dwarf.TagStructType:
			inG = name == "runtime.g"
		case inG && e.Tag == dwarf.TagMember && name == "atomicstatus":
			place, ok := e.Val(dwarf.AttrDataMemberLoc).(int64)
			if !ok || where.table == 0 || where.count == 0 {
				return goRuntime{}, fmt.Errorf("unknown runtime: %+v", where)
			}
			where.status = uint64(place)
			return where, nil
		}
	}
}

// TestCountGoroutines counts one's own. "go test" strips its programs of the symbols that counting goes by, so this one is built anew.
func TestCountGoroutines(t *testing.T) {
	if _, err := countGoroutines(os.Getpid()); errors.Is(err, elf.ErrNoSymbols) {
		program := filepath.Join(t.TempDir(), "churntest")
		for _, command := range [][]string{
			{"go", "test", "-c", "-o", program, "."},
			{program, "-test.v", "-test.run", "^TestCountGoroutines$"},
		} {
			out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
		}
		return
	}
	before, err := countGoroutines(os.Getpid())
	if err != nil || before < 2 {
		t.Fatalf("%d goroutines: %v", before, err)
	}
	end := make(chan struct{})
	defer close(end)
	for range 50 {
		go func() { <-end }()
	}
	testnet.Until(t, "fifty more are counted", func() bool {
		now, err := countGoroutines(os.Getpid())
		return err == nil && now >= before+50
	})
}
