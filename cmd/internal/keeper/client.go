package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"vpn/cmd/internal/control"
	"vpn/tun/host"
)

// Client talks to the keeper of one link. It may be used concurrently.
type Client struct {
	name string
	http http.Client
}

// errCutShort says that a keeper went away before it had said how it went.
var errCutShort = errors.New("the keeper ended before it had answered")

// Dial connects to the keeper of a link. If there is none the error is one of
// fs.ErrNotExist or ECONNREFUSED; fs.ErrPermission if whoever asks may not know.
func Dial(name string) (*Client, error) {
	path := control.Path(name)
	if Held(name) == nil { // who answers at that path without a lock is "vpn device"
		_, err := os.Stat(host.RunPath(name, lockFile))
		if !errors.Is(err, fs.ErrPermission) {
			err = fs.ErrNotExist
		}
		return nil, fmt.Errorf("ask the keeper of %s: %w", name, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return nil, fmt.Errorf("ask the keeper of %s: %w", name, err)
	}
	c.Close()
	return &Client{name: name, http: control.Transport(path)}, nil
}

// State asks how things are.
func (c *Client) State(ctx context.Context) (*State, error) {
	response, err := c.send(ctx, http.MethodGet, pathState, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var s State
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("ask the keeper of %s: %w", c.name, err)
	}
	return &s, nil
}

// Log shows what was done and said when the link came up.
func (c *Client) Log(ctx context.Context, show Show) error {
	_, err := c.ask(ctx, http.MethodGet, pathLog, nil, show)
	return err
}

// Down takes the link down, and returns when nothing is left of it. If a PreDown
// hook fails the link stays up.
func (c *Client) Down(ctx context.Context, show Show) error {
	_, err := c.ask(ctx, http.MethodPost, pathDown, nil, show)
	return err
}

// Reload brings the link to what its file says now, and tells whether that was
// any change.
func (c *Client) Reload(ctx context.Context, r ReloadRequest, show Show) (changed bool, err error) {
	r.Sessions = host.SSHPeers(true) // of which the keeper's sandbox shows it none
	result, err := c.ask(ctx, http.MethodPost, pathReload, r, show)
	if err != nil {
		return false, err
	}
	return result.Changed, nil
}

// Keep confirms a reload that would be taken back.
func (c *Client) Keep(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodPost, pathKeep, nil, nil)
	return err
}

// Restart replaces the keeper's program by what lies in its place now, and
// returns when that runs the link.
func (c *Client) Restart(ctx context.Context, show Show) error {
	before, err := c.State(ctx)
	if err != nil {
		return err
	}
	if _, err := c.ask(ctx, http.MethodPost, pathRestart, nil, show); err != nil && !errors.Is(err, errCutShort) {
		return err
	}
	const between = 20 * time.Millisecond
	tick := time.NewTicker(between)
	defer tick.Stop()
	for {
		if now, err := c.State(ctx); err == nil && !now.Started.Equal(before.Started) && now.Phase == Running {
			return nil
		}
		if held := Held(c.name); held == nil {
			return fmt.Errorf("the keeper of %s has not come back", c.name)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Wait returns when all peers with an endpoint have shaken hands since the link
// came up, or at the timeout with those that have not, and why as far as that is
// known.
func (c *Client) Wait(ctx context.Context, timeout time.Duration) (silent []string, err error) {
	result, err := c.ask(ctx, http.MethodPost, pathWait, WaitRequest{timeout}, nil)
	if err != nil {
		return nil, err
	}
	return result.Silent, nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	text := []byte{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
		defer clear(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://keeper"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("ask the keeper of %s: %w: %w", c.name, errCutShort, err)
	case response.StatusCode != http.StatusOK:
		response.Body.Close()
		return nil, fmt.Errorf("ask the keeper of %s: %s", c.name, response.Status)
	}
	return response, nil
}

// ask makes a request, and shows what is said on the way to its result.
func (c *Client) ask(ctx context.Context, method, path string, body any, show Show) (*Result, error) {
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	result, err := readMessages(response.Body, show)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return result, err
}

// readMessages reads messages up to the result.
func readMessages(r io.Reader, show Show) (*Result, error) {
	for d := json.NewDecoder(r); ; {
		var m Message
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("%w: %w", errCutShort, err)
		}
		switch {
		case m.Result == nil && show != nil:
			show(m)
		case m.Result == nil:
		case m.Result.Failed != nil:
			return nil, m.Result.Failed
		default:
			return m.Result, nil
		}
	}
}

// ReadMessages shows what a keeper that is starting writes to r, and returns how
// the start went.
func ReadMessages(r io.Reader, show Show) error {
	_, err := readMessages(r, show)
	return err
}

// Ended says that a keeper went away without a word on how it went.
func Ended(err error) bool { return errors.Is(err, errCutShort) }
