package lookup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// askLimit is the longest that Lookup takes for one name.
	askLimit = 5 * time.Second
	// nextServer is how long a server may be silent before the next is asked too.
	nextServer = time.Second
	// otherFamily is how long the addresses of one family wait for the other's.
	otherFamily = 500 * time.Millisecond
	// rounds is how often each server is asked that is silent: a datagram may be lost.
	rounds = 2
)

var errNoServer = errors.New("no DNS server is known")

// Servers returns the DNS servers to ask, best first. It is called for each
// lookup, since they change when the host moves to another network.
type Servers func(ctx context.Context) ([]netip.AddrPort, error)

// A Resolver looks names up in /etc/hosts and, if they are not there, asks DNS
// servers by UDP and, where an answer is too long for it, TCP. Its sockets carry
// a mark, so that what it sends goes where the tunnel's own messages go: not
// into the tunnel, and through the kill switch. Its methods may be called
// concurrently.
type Resolver struct {
	servers Servers
	mark    atomic.Uint32
}

// NewResolver makes a Resolver. A mark of 0 is none; any other needs
// CAP_NET_ADMIN.
func NewResolver(servers Servers, mark uint32) *Resolver {
	r := &Resolver{servers: servers}
	r.mark.Store(mark)
	return r
}

// SetMark changes the mark of all sockets opened from now on.
func (r *Resolver) SetMark(mark uint32) { r.mark.Store(mark) }

// Lookup returns the addresses of a name, IPv4 and IPv6, best first and none
// twice. A server that is silent for a second is asked once more together with
// the next; the first who knows decides. After 5 s it gives up. NoSuchName tells the error of
// a name that does not exist.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	servers, err := r.servers(ctx)
	if err != nil {
		return nil, fmt.Errorf("DNS servers: %w", err)
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{{}} // the name may be in /etc/hosts
	}
	addrs, err := r.race(ctx, host, servers)
	if err != nil {
		return nil, err
	}
	return r.order(addrs), nil
}

// answer is what one server says.
type answer struct {
	addrs []netip.Addr
	err   error
}

// decides says whether no other server needs to be asked.
func (a answer) decides() bool { return a.err == nil || NoSuchName(a.err) }

// race asks one server after the other, the next as soon as the one before has
// failed or has been silent for nextServer.
func (r *Resolver) race(ctx context.Context, host string, servers []netip.AddrPort) ([]netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // those who lost
	most := rounds * len(servers)
	answers := make(chan answer, most)
	patience := time.NewTimer(0)
	defer patience.Stop()
	var last answer
	for asked, answered := 0, 0; answered < most; {
		select {
		case <-patience.C:
		case last = <-answers:
			answered++
			if last.decides() {
				return last.addrs, last.err
			}
			if answered == asked && asked >= len(servers) {
				return nil, last.err // all have failed, none is silent
			}
		}
		if asked < most {
			server := servers[asked%len(servers)]
			asked++
			go func() { answers <- r.ask(ctx, host, server) }()
			patience.Reset(nextServer)
		}
	}
	return nil, last.err
}

// ask asks one server for both families at once. Where one has addresses, the
// other doesn't hold them up for long: there are servers that never answer the
// question for IPv6.
func (r *Resolver) ask(ctx context.Context, host string, server netip.AddrPort) answer {
	resolver := &net.Resolver{PreferGo: true, Dial: r.dialer(server)}
	families := [...]string{"ip4", "ip6"}
	answers := make(chan answer, len(families))
	for _, family := range families {
		go func() {
			addrs, err := resolver.LookupNetIP(ctx, family, host)
			answers <- answer{addrs, err}
		}()
	}
	var all answer
	var late <-chan time.Time
	for range families {
		select {
		case a := <-answers:
			all = all.join(a)
		case <-late:
			return all
		}
		if len(all.addrs) > 0 {
			late = time.After(otherFamily)
		}
	}
	return all
}

// join adds the other family's answer. Addresses outweigh errors, and an error
// that may pass outweighs that there is no such name.
func (a answer) join(b answer) answer {
	var noAddress *net.AddrError // the name is in /etc/hosts, for the other family only
	if errors.As(b.err, &noAddress) {
		b.err = notFound(noAddress.Addr)
	}
	for i := range b.addrs {
		b.addrs[i] = b.addrs[i].Unmap()
	}
	a.addrs = append(a.addrs, b.addrs...)
	switch {
	case len(a.addrs) > 0:
		a.err = nil
	case a.err == nil || NoSuchName(a.err):
		a.err = b.err
	}
	return a
}

// dialer returns a function that connects to the server whatever it is asked for.
func (r *Resolver) dialer(server netip.AddrPort) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !server.IsValid() {
			return nil, errNoServer
		}
		d := net.Dialer{Control: r.control()}
		return d.DialContext(ctx, network, server.String())
	}
}

func notFound(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}
