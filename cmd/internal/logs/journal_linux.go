package logs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// isJournal reports whether f is the stream that systemd connected to its
// journal. It says which in JOURNAL_STREAM, as DEVICE:INODE; that variable is
// inherited by processes whose stream is another.
func isJournal(f *os.File) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	if stream == "" {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var st unix.Stat_t
	if e := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); e != nil || err != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
