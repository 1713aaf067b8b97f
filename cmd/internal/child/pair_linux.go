package child

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pair is one end of the socket pair. It may be used concurrently, but for
// receive.
type pair struct {
	conn *net.UnixConn
	buf  [maxMessage + 1]byte // of receive

	mu      sync.Mutex // guards what is written, and what follows
	nextID  uint32
	waiting map[uint32]chan *reply // who has asked, by ID
	closed  bool
}

// reply is a message and the descriptors that came with it.
type reply struct {
	*message
	files []*os.File
}

func (r *reply) closeFiles() { closeAll(r.files) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// newPair makes a pair: our end, and the other as a file that a process can
// inherit.
func newPair() (ours *pair, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "engine")
	ours, err = pairOf(os.NewFile(uintptr(fds[0]), "keeper"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// pairOf makes an end of a pair of its descriptor, which it closes.
func pairOf(f *os.File) (*pair, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok || conn.LocalAddr().Network() != "unixpacket" {
		c.Close()
		return nil, errors.New("not an end of a socket pair")
	}
	return &pair{conn: conn, waiting: make(map[uint32]chan *reply)}, nil
}

// send sends a message, with duplicates of descriptors, unless there is no room
// for it in time.
func (p *pair) send(m *message, patience time.Duration, fds ...int) error {
	b, err := encode(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, _, err = p.conn.WriteMsgUnix(b, rights, nil)
	return err
}

// receive waits for a message. At the end of the pair it fails with io.EOF; any
// other error is the other side's fault. No more descriptors than maxFiles are
// taken.
func (p *pair) receive(maxFiles int) (*reply, error) {
	var oob []byte
	if maxFiles > 0 {
		oob = make([]byte, unix.CmsgSpace(4*maxFiles))
	}
	n, oobn, flags, _, err := p.conn.ReadMsgUnix(p.buf[:], oob)
	if errors.Is(err, unix.ECONNRESET) {
		// The other side has ended and left something unread. What it said before that
		// is still there.
		n, oobn, flags, _, err = p.conn.ReadMsgUnix(p.buf[:], oob)
	}
	if err != nil {
		return nil, err
	}
	r := new(reply)
	if maxFiles > 0 {
		if r.files, err = filesOf(oob[:oobn]); err != nil {
			return nil, err
		}
	}
	if flags&unix.MSG_TRUNC != 0 {
		err = errors.New("a message that is too long")
	} else {
		r.message, err = decode(p.buf[:n])
	}
	if err != nil {
		r.closeFiles()
		return nil, err
	}
	return r, nil
}

// filesOf are the descriptors in control messages.
func filesOf(oob []byte) (files []*os.File, err error) {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("control message", err)
	}
	for i := range all {
		fds, err := unix.ParseUnixRights(&all[i])
		if err != nil {
			continue // something else than descriptors
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "given"))
		}
	}
	return files, nil
}

// errNoAnswer is what ask fails with when the other side takes too long.
var errNoAnswer = errors.New("no answer in time")

// ask sends a question and waits for the reply, whose descriptors are the
// caller's. Done ends the wait.
func (p *pair) ask(m *message, patience time.Duration, done <-chan struct{}) (*reply, error) {
	answer := make(chan *reply, 1)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, net.ErrClosed
	}
	if p.nextID++; p.nextID == 0 {
		p.nextID = 1
	}
	m.ID = p.nextID
	p.waiting[m.ID] = answer
	p.mu.Unlock()

	err := p.send(m, patience)
	if err == nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case r, ok := <-answer:
			if !ok {
				return nil, net.ErrClosed
			}
			if err := r.err(); err != nil {
				r.closeFiles()
				return nil, err
			}
			return r, nil
		case <-timer.C:
			err = errNoAnswer
		case <-done:
			err = errNoAnswer
		}
	}
	p.mu.Lock()
	delete(p.waiting, m.ID)
	p.mu.Unlock()
	select {
	case r, ok := <-answer: // it came all the same
		if ok {
			r.closeFiles()
		}
	default:
	}
	return nil, err
}

// answered hands a reply to who has asked. One that nobody waits for is dropped.
func (p *pair) answered(r *reply) {
	p.mu.Lock()
	answer := p.waiting[r.ID]
	delete(p.waiting, r.ID)
	if answer != nil {
		answer <- r // it has room for one, and no other comes
	}
	p.mu.Unlock()
	if answer == nil {
		r.closeFiles()
	}
}

// close ends the pair, and the wait of all who have asked.
func (p *pair) close() {
	p.conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for id, answer := range p.waiting {
		close(answer)
		delete(p.waiting, id)
	}
}

// descriptors calls f with the numbers of open files, which stay open and as they
// are meanwhile: os.File.Fd would make them blocking, here and wherever else
// they are open.
func descriptors(files []*os.File, f func(fds []int) error) error {
	var fds []int
	var next func(rest []*os.File) error
	next = func(rest []*os.File) error {
		if len(rest) == 0 {
			return f(fds)
		}
		raw, err := rest[0].SyscallConn()
		if err != nil {
			return err
		}
		e := raw.Control(func(fd uintptr) {
			fds = append(fds, int(fd))
			err = next(rest[1:])
		})
		if e != nil {
			return fmt.Errorf("%s: %w", rest[0].Name(), e)
		}
		return err
	}
	return next(files)
}
