package child

import (
	"net"
	"os"
	"sync"
)

// maxStreams is how many of the keeper's connections wait to be accepted.
const maxStreams = 16

// streams is a listener whose connections come from the keeper.
type streams struct {
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once // closes closed
}

func newStreams() *streams {
	return &streams{waiting: make(chan net.Conn, maxStreams), closed: make(chan struct{})}
}

// add takes the stream that comes with a message. It never waits: one too many is
// closed.
func (s *streams) add(r *reply) {
	defer r.closeFiles()
	if len(r.files) != 1 {
		return
	}
	conn, err := net.FileConn(r.files[0])
	if err != nil {
		return // the other end sees it closed
	}
	select {
	case s.waiting <- conn:
	default:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case conn := <-s.waiting:
		return conn, nil
	case <-s.closed:
		return nil, os.ErrClosed
	}
}

// Close implements net.Listener. The streams that wait end with the process.
func (s *streams) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr implements net.Listener.
func (s *streams) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
