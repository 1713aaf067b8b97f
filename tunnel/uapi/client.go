package uapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// Client configures one interface over its socket, one request after another.
// It may be used concurrently.
type Client struct {
	name string
	dial func() (net.Conn, error) // nil: there is only the one connection

	mu    sync.Mutex // guards conn and r, for a whole request
	conn  net.Conn
	r     *bufio.Reader
	fresh bool // no request has been made on conn
}

// NewClient returns a client that uses c, which becomes its own. The name is
// for errors.
func NewClient(name string, c net.Conn) *Client {
	client := &Client{name: name}
	client.use(c)
	return client
}

// Dial connects to the interface of that name in the default directory.
func Dial(name string) (*Client, error) { return Default.Dial(name) }

// Dial connects to the interface of that name. A connection that the server
// has closed between requests, as it does when they are far apart, is made
// anew.
func (d Directory) Dial(name string) (*Client, error) {
	dial := func() (net.Conn, error) { return d.connect(name) }
	c, err := dial()
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	client := NewClient(name, c)
	client.dial = dial
	return client, nil
}

func (c *Client) use(conn net.Conn) {
	c.conn, c.r, c.fresh = conn, bufio.NewReaderSize(conn, bufferSize), true
}

// Get returns the interface and all its peers. The keys in it are the caller's
// to erase.
func (c *Client) Get() (*Device, error) {
	var d *Device
	err := c.do(func(w io.Writer) error {
		_, err := io.WriteString(w, "get=1\n\n")
		return err
	}, func(r *bufio.Reader) (err error) {
		d, err = ReadGet(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.name, err)
	}
	return d, nil
}

// Set makes a change, and returns when it is in force or has been refused: then
// the error is an [Errno]. The keys in config stay the caller's.
func (c *Client) Set(config *Config) error {
	err := c.do(func(w io.Writer) error {
		if _, err := io.WriteString(w, "set=1\n"); err != nil {
			return err
		}
		return WriteSet(w, config)
	}, readErrno)
	if err != nil {
		return fmt.Errorf("configure %s: %w", c.name, err)
	}
	return nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dial = nil
	return c.conn.Close()
}

// do makes one request, once more on a new connection if the server had left.
func (c *Client) do(write func(io.Writer) error, read func(*bufio.Reader) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := c.fresh
	err := c.try(write, read)
	if fresh || c.dial == nil || !isGone(err) {
		return err
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	c.conn.Close()
	c.use(conn)
	return c.try(write, read)
}

// errGone says that the other side left before it had answered a byte.
type errGone struct{ error }

func (e errGone) Unwrap() error { return e.error }

func isGone(err error) bool {
	var gone errGone
	return errors.As(err, &gone)
}

func (c *Client) try(write func(io.Writer) error, read func(*bufio.Reader) error) error {
	c.fresh = false
	written := write(c.conn)
	// A server that refuses a request in the middle says why before it leaves.
	if _, err := c.r.Peek(1); err != nil {
		if written != nil {
			err = written
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
			return errGone{fmt.Errorf("the other side hung up: %w", err)}
		}
		return err
	}
	err := read(c.r)
	if c.r.Buffered() == 0 {
		wipeReader(c.r, c.conn)
	}
	return err
}
