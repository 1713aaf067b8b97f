package uapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

const (
	// maxLine is more than any key with any value can need.
	maxLine = 4096
	// maxRequest leaves a set of a million peers about a kilobyte for each.
	maxRequest = 1 << 30
	// bufferSize is how much of a socket is read or written at once.
	bufferSize = 64 << 10
)

var (
	errLineTooLong     = errors.New("line is too long")
	errRequestTooLarge = errors.New("request is too large")
)

// lineReader reads the lines of one request or reply. It forgets what it gave
// out: a line is valid until the next is asked for, and is zeroed then, since
// it may have held a key.
type lineReader struct {
	r     *bufio.Reader
	left  int64  // bytes that may still be read
	count int    // lines read so far
	last  []byte // the line given out, in r's own buffer
}

func newLineReader(r *bufio.Reader) *lineReader {
	return &lineReader{r: r, left: maxRequest}
}

// next returns a line without its end. After errLineTooLong the whole line has
// been passed over, and the next call returns the next one. The end of input,
// in a line or before it, is io.ErrUnexpectedEOF: a request ends with a blank
// line and not otherwise.
func (l *lineReader) next() ([]byte, error) {
	l.forget()
	l.count++
	length := 0
	for {
		part, err := l.r.ReadSlice('\n')
		l.last = part
		length += len(part)
		if l.left -= int64(len(part)); l.left < 0 {
			return nil, errRequestTooLarge
		}
		switch {
		case err == nil && length > maxLine:
			return nil, errLineTooLong
		case err == nil:
			return part[:len(part)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			length = maxLine + 1 // whatever is still to come
			l.forget()
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// forget zeroes the line that was given out last.
func (l *lineReader) forget() {
	clear(l.last)
	l.last = nil
}

// skip passes over the rest of a request, to its blank line.
func (l *lineReader) skip() error {
	for {
		line, err := l.next()
		if err != nil && !errors.Is(err, errLineTooLong) {
			return err
		}
		if err == nil && len(line) == 0 {
			return nil
		}
	}
}

// cut takes key=value apart.
func cut(line []byte) (name, value []byte, ok bool) {
	return bytes.Cut(line, []byte{'='})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// wipeReader zeroes r's buffer, with the copies that its own moves have left
// in it, and makes it read from src. What was buffered is lost.
func wipeReader(r *bufio.Reader, src io.Reader) {
	r.Reset(zeros{})
	_, _ = r.Peek(r.Size()) // fills the whole buffer; zeros never fail
	r.Reset(src)
}

// wipeWriter zeroes w's buffer. What was not flushed is lost.
func wipeWriter(w *bufio.Writer) {
	w.Reset(io.Discard)
	b := w.AvailableBuffer()
	clear(b[:cap(b)])
}
