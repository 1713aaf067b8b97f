package child

import (
	"os"
	"sync"

	"vpn/tunnel/udp"
)

// Ports are the UDP sockets of one tunnel. They live as long as the keeper:
// engines come and go. It may be used concurrently.
type Ports struct {
	opener udp.Opener

	mu      sync.Mutex   // guards what follows
	sockets *udp.Sockets // nil: nothing is open
	mark    uint32
	opened  chan struct{} // closed while something is open
}

// NewPorts returns ports of which none is open yet.
func NewPorts(o udp.Opener) *Ports { return &Ports{opener: o, opened: make(chan struct{})} }

// Opened returns a channel that is closed as soon as a port is open. It is of no
// use after Close.
func (p *Ports) Opened() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// put makes sockets the open ones, in place of those that were.
func (p *Ports) put(sockets *udp.Sockets, mark uint32) {
	if p.sockets != nil {
		p.sockets.Close()
	} else {
		close(p.opened)
	}
	p.sockets, p.mark = sockets, mark
}

// Open returns duplicates of the sockets of a port, for the caller to close.
// Sockets that are open on that port are kept, and so they are for port 0, any,
// with the mark changed on them. Others are closed once the new ones are open.
func (p *Ports) Open(port uint16, mark uint32) (files []*os.File, bound uint16, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets != nil && (port == 0 || port == p.sockets.Port) {
		if err := p.setMark(mark); err != nil {
			return nil, 0, err
		}
		files, err = p.sockets.Files()
		return files, p.sockets.Port, err
	}
	opened, err := p.opener.Open(port, mark)
	if err != nil {
		return nil, 0, err
	}
	if files, err = opened.Files(); err != nil {
		opened.Close()
		return nil, 0, err
	}
	p.put(opened, mark)
	return files, opened.Port, nil
}

// Adopt makes sockets that Open has returned, perhaps to a keeper before this
// one, the open ones. The files stay the caller's. The mark is what they have.
func (p *Ports) Adopt(files []*os.File, mark uint32) error {
	sockets, err := udp.FromFiles(files...)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(sockets, mark)
	return nil
}

// SetMark changes the mark of the sockets that are open, if there are any. If it
// fails, none has changed.
func (p *Ports) SetMark(mark uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets == nil {
		return nil
	}
	return p.setMark(mark)
}

func (p *Ports) setMark(mark uint32) error {
	if mark == p.mark {
		return nil
	}
	err := p.sockets.SetMark(mark)
	if err != nil {
		_ = p.sockets.SetMark(p.mark) // what was there before worked before
		return err
	}
	p.mark = mark
	return nil
}

// Current returns port and mark in force; port 0: nothing is open.
func (p *Ports) Current() (port uint16, mark uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets == nil {
		return 0, 0
	}
	return p.sockets.Port, p.mark
}

// Close closes the sockets. Those that an engine has stay open for it.
func (p *Ports) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sockets == nil {
		return nil
	}
	err := p.sockets.Close()
	p.sockets, p.mark, p.opened = nil, 0, make(chan struct{})
	return err
}
