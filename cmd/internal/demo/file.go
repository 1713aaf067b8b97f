package demo

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// checksum is the SHA-256 of a file.
type checksum [sha256.Size]byte

func (c checksum) String() string { return hex.EncodeToString(c[:]) }

// file is what is downloaded: random bytes, so that no part of it can stand in for
// another.
type file struct {
	*os.File
	size int64
	sum  checksum
}

func newFile(folder string, size int64) (_ *file, err error) {
	f := &file{size: size}
	if f.File, err = os.OpenFile(filepath.Join(folder, "file"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	hash, buffer := sha256.New(), bufio.NewWriterSize(f.File, 1<<20)
	_, err = io.CopyN(io.MultiWriter(hash, buffer), rand.Reader, size)
	if err = errors.Join(err, buffer.Flush()); err != nil {
		return nil, errors.Join(fmt.Errorf("write the file to download: %w", err), f.close())
	}
	hash.Sum(f.sum[:0])
	return f, nil
}

func (f *file) close() error { return f.File.Close() }

// section reads the file from its start, whoever else reads it.
func (f *file) section() *io.SectionReader { return io.NewSectionReader(f.File, 0, f.size) }

// pacer says when bytes may be sent so that they leave at an even rate. The zero
// start is set by the first call.
type pacer struct {
	rate float64   // bytes a second
	next time.Time // when what was allowed so far has taken its time
}

// longestLag is what a sender that fell behind may catch up at once. More would
// be a burst.
const longestLag = 100 * time.Millisecond

// wait returns how long to wait at now before n more bytes are sent.
func (p *pacer) wait(now time.Time, n int) time.Duration {
	if earliest := now.Add(-longestLag); p.next.Before(earliest) {
		p.next = earliest
	}
	d := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return max(d, 0)
}
