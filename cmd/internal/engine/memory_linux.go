package engine

import (
	"fmt"
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"

	"vpn/noise/aead"
)

// NewArena makes an arena for session keys, in memory that is never swapped out
// and stands in no core dump. One warning tells where that can't be had.
func NewArena(log *slog.Logger) *aead.Arena {
	var once sync.Once
	return aead.NewArena(func(size int) ([]byte, error) {
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil, fmt.Errorf("map %d bytes for keys: %w", size, err)
		}
		if err := guard(b); err != nil {
			once.Do(func() {
				log.Warn("session keys may be swapped to disk or dumped", "error", err, "hint", "raise the limit of locked memory (ulimit -l)")
			})
		}
		return b, nil
	})
}

// guard does all it can even if part of it fails.
func guard(b []byte) error {
	dump := unix.Madvise(b, unix.MADV_DONTDUMP)
	if err := unix.Mlock(b); err != nil {
		return fmt.Errorf("lock %d bytes in memory: %w", len(b), err)
	}
	if dump != nil {
		return fmt.Errorf("keep %d bytes out of core dumps: %w", len(b), dump)
	}
	return nil
}

// Harden keeps this process's memory from others: it dumps no core, and only
// root can trace it or read its memory. A descriptor limit is left as it is.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep other processes out of our memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}
