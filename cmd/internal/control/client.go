package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"vpn/cmd/internal/report"
)

// Client is a report.Source that asks whoever runs an interface.
type Client struct {
	name string
	http http.Client
}

// Dial connects to an interface's control socket. If there is none the error is one of fs.ErrNotExist or ECONNREFUSED; if this user may
// not, ErrForRoot.
func Dial(name string) (*Client, error) {
	path := Path(name)
	c, err := net.Dial("unix", path)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = ErrForRoot
		}
		return nil, fmt.Errorf("ask %s: %w", name, err)
	}
	c.Close()
	return &Client{name: name, http: Transport(path)}, nil
}

// Transport returns a client that sends each request to the socket at that path, over a connection of its own.
func Transport(path string) http.Client {
	return http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
}

// Status implements report.Source.
func (c *Client) Status(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	if q.Handshake {
		return c.ask(ctx, http.MethodPost, report.PathHandshake, q, tell)
	}
	return c.ask(ctx, http.MethodGet, report.PathStatus, q, tell)
}

// Events implements report.Source.
func (c *Client) Events(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	return c.ask(ctx, http.MethodGet, report.PathEvents, q, tell)
}

func (c *Client) ask(ctx context.Context, method, path string, q report.Query, tell func(*report.Line) error) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://vpn"+path+"?"+q.Values().Encode(), nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.name, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return fmt.Errorf("ask %s: %w", c.name, ErrForRoot)
	case http.StatusNotFound:
		return fmt.Errorf("ask %s: it is run by a program that is too old to tell; \"vpn restart %s\" replaces that", c.name, c.name)
	default:
		const enough = 1 << 10
		text, _ := io.ReadAll(io.LimitReader(response.Body, enough)) // the status says the same in fewer words
		return fmt.Errorf("ask %s: %s: %s", c.name, response.Status, strings.TrimSpace(string(text)))
	}
	if err := report.Read(response.Body, tell); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("ask %s: %w", c.name, err)
	}
	return nil
}

// Names lists the interfaces that have a control socket where somebody answers.
func Names() (names []string, err error) {
	paths, err := filepath.Glob(Path("*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		c, err := net.Dial("unix", path)
		if err != nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)) {
			continue
		}
		if err == nil {
			c.Close()
		}
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	slices.Sort(names)
	return names, nil
}
