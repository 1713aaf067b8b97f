package lookup

import (
	"errors"
	"net"
	"time"
)

const (
	firstDelay   = time.Second
	longestDelay = 20 * time.Second
)

// Backoff says how long to wait before a name is asked again: 1 s first and 1.2
// times as long each time, up to 20 s, as wg does. The zero value is ready. It
// may not be used concurrently.
type Backoff struct{ next time.Duration }

// Next returns the time to wait, longer each time.
func (b *Backoff) Next() time.Duration {
	d := max(b.next, firstDelay)
	b.next = min(d*6/5, longestDelay)
	return d
}

// Reset begins with the shortest wait again.
func (b *Backoff) Reset() { b.next = 0 }

// NoSuchName reports whether the answer was that there is no such name, or that
// it has no address.
func NoSuchName(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// Reason leaves out what a DNS error says about names, servers and sockets.
func Reason(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}
