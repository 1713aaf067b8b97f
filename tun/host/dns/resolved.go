package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// The names under which systemd-resolved is found; see org.freedesktop.resolve1(5).
const (
	resolvedName    = "org.freedesktop.resolve1"
	resolvedPath    = dbus.ObjectPath("/org/freedesktop/resolve1")
	resolvedManager = resolvedName + ".Manager."
	resolvedLink    = resolvedName + ".Link."
)

// Families as systemd-resolved writes them: those of Linux.
const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// ErrAway is why nothing can be said about a link: systemd-resolved does not run.
var ErrAway = errors.New("systemd-resolved does not run")

// linkPatience is how long systemd-resolved may take to learn of a new link.
const linkPatience = 5 * time.Second

// server is a name server in a message: (iay).
type server struct {
	Family  int32
	Address []byte
}

func serverOf(a netip.Addr) server {
	a = a.Unmap()
	if a.Is4() {
		return server{familyIPv4, a.AsSlice()}
	}
	return server{familyIPv6, a.AsSlice()}
}

// domain is a search or routing domain in a message: (sb).
type domain struct {
	Name      string
	RouteOnly bool
}

func (s Settings) resolvedDomains() []domain {
	var all []domain
	for _, text := range s.domains() {
		name, routeOnly := strings.CutPrefix(text, "~")
		all = append(all, domain{name, routeOnly})
	}
	return all
}

// resolved is a connection to systemd-resolved.
type resolved struct {
	conn    *dbus.Conn
	manager dbus.BusObject
}

func openResolved(ctx context.Context) (*resolved, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("system bus: %w", err)
	}
	return &resolved{conn, conn.Object(resolvedName, resolvedPath)}, nil
}

func (r *resolved) close() { _ = r.conn.Close() }

// call calls a method that answers nothing.
func (r *resolved) call(ctx context.Context, method string, args ...any) error {
	return r.manager.CallWithContext(ctx, resolvedManager+method, 0, args...).Err
}

// isError says whether an error is one that D-Bus knows under one of these names.
func isError(err error, names ...string) bool {
	var e dbus.Error
	return errors.As(err, &e) && slices.Contains(names, e.Name)
}

// isAway says whether nobody was there to answer.
func isAway(err error) bool {
	return isError(err, "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")
}

const noSuchLink = resolvedName + ".NoSuchLink"

// resolvedAvailable says whether systemd-resolved runs or would be started if asked.
func resolvedAvailable(ctx context.Context) bool {
	r, err := openResolved(ctx)
	if err != nil {
		return false
	}
	defer r.close()
	var runs bool
	if err := r.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolvedName).Store(&runs); err == nil && runs {
		return true
	}
	var names []string
	err = r.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListActivatableNames", 0).Store(&names)
	return err == nil && slices.Contains(names, resolvedName)
}

func setResolved(ctx context.Context, s Settings) error {
	link, err := net.InterfaceByName(s.Link)
	if err != nil {
		return err
	}
	r, err := openResolved(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	index := int32(link.Index)
	var servers []server
	for _, a := range s.Servers {
		servers = append(servers, serverOf(a))
	}
	if err := r.setNewLink(ctx, index, servers); err != nil {
		if isError(err, resolvedName+".LinkBusy") {
			return fmt.Errorf("%w (is the link managed by systemd-networkd? a .network file with Unmanaged=yes keeps its hands off)", err)
		}
		return err
	}
	if err = r.call(ctx, "SetLinkDomains", index, s.resolvedDomains()); err == nil {
		err = r.call(ctx, "SetLinkDefaultRoute", index, s.isDefault())
		if isError(err, "org.freedesktop.DBus.Error.UnknownMethod") {
			err = nil // before systemd 240 the domains alone decided it
		}
	}
	if err != nil {
		return errors.Join(err, r.call(ctx, "RevertLink", index))
	}
	// What was answered by other servers is stale: names may mean something else now.
	return r.call(ctx, "FlushCaches")
}

// setNewLink sets the servers of a link that systemd-resolved may not have heard of yet.
func (r *resolved) setNewLink(ctx context.Context, index int32, servers []server) error {
	ctx, cancel := context.WithTimeout(ctx, linkPatience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := r.call(ctx, "SetLinkDNS", index, servers)
		if !isError(err, noSuchLink) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// unsetResolved has nothing to do where the link, the bus or systemd-resolved is
// gone: who is left forgets what belonged to the other.
func unsetResolved(ctx context.Context, name string) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	r, err := openResolved(ctx)
	if err != nil {
		return nil
	}
	defer r.close()
	for _, method := range []string{"RevertLink", "FlushCaches"} {
		var args []any
		if method == "RevertLink" {
			args = []any{int32(link.Index)}
		}
		err := r.manager.CallWithContext(ctx, resolvedManager+method, dbus.FlagNoAutoStart, args...).Err
		if err != nil && !isAway(err) && !isError(err, noSuchLink) {
			return err
		}
	}
	return nil
}

// presentResolved does not start systemd-resolved: somebody may have stopped it.
// Where the link is gone so are its settings.
func presentResolved(ctx context.Context, s Settings) (bool, error) {
	link, err := net.InterfaceByName(s.Link)
	if err != nil {
		return false, nil
	}
	r, err := openResolved(ctx)
	if err != nil {
		return false, errors.Join(ErrAway, err)
	}
	defer r.close()
	var path dbus.ObjectPath
	err = r.manager.CallWithContext(ctx, resolvedManager+"GetLink", dbus.FlagNoAutoStart, int32(link.Index)).Store(&path)
	switch {
	case isAway(err):
		return false, ErrAway
	case isError(err, noSuchLink):
		return false, nil
	case err != nil:
		return false, err
	}
	var servers []server
	var domains []domain
	object := r.conn.Object(resolvedName, path)
	if err := errors.Join(object.StoreProperty(resolvedLink+"DNS", &servers), object.StoreProperty(resolvedLink+"Domains", &domains)); err != nil {
		return false, err
	}
	isDefault := s.isDefault()
	if err := object.StoreProperty(resolvedLink+"DefaultRoute", &isDefault); err != nil && !isError(err, "org.freedesktop.DBus.Error.UnknownProperty") {
		return false, err
	}
	same := isDefault == s.isDefault() &&
		slices.EqualFunc(servers, s.Servers, func(got server, want netip.Addr) bool {
			a, ok := netip.AddrFromSlice(got.Address)
			return ok && a == want.Unmap()
		}) &&
		slices.EqualFunc(domains, s.resolvedDomains(), func(got, want domain) bool {
			return got.RouteOnly == want.RouteOnly && strings.EqualFold(strings.TrimSuffix(got.Name, "."), strings.TrimSuffix(want.Name, "."))
		})
	return same, nil
}

// upstream returns the servers that systemd-resolved asks, without those of a link:
// the fallback ones where no others are known.
func (r *resolved) upstream(ctx context.Context, except string) (servers []netip.AddrPort, err error) {
	for _, property := range []string{"DNS", "FallbackDNS"} {
		var all []struct { // (iiay)
			Index   int32
			Family  int32
			Address []byte
		}
		var value dbus.Variant
		if err := r.manager.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart,
			strings.TrimSuffix(resolvedManager, "."), property).Store(&value); err != nil {
			return servers, err
		}
		if err := value.Store(&all); err != nil {
			return servers, err
		}
		for _, s := range all {
			a, ok := netip.AddrFromSlice(s.Address)
			name := ""
			if link, err := net.InterfaceByIndex(int(s.Index)); err == nil {
				name = link.Name
			}
			if !ok || s.Index != 0 && name == except {
				continue
			}
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(name)
			}
			servers = append(servers, netip.AddrPortFrom(a, port))
		}
		if len(servers) > 0 {
			break
		}
	}
	return servers, nil
}

// WatchResolved sends each time that systemd-resolved has come up, having forgotten
// what it was told. The channel is closed when ctx ends or the bus is gone.
func WatchResolved(ctx context.Context) (<-chan struct{}, error) {
	r, err := openResolved(ctx)
	if err != nil {
		return nil, err
	}
	signals := make(chan *dbus.Signal, 16)
	r.conn.Signal(signals)
	if err := r.conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, resolvedName)); err != nil {
		r.close()
		return nil, err
	}
	up := make(chan struct{}, 1)
	go func() {
		defer close(up)
		defer r.close()
		for {
			select {
			case <-ctx.Done():
				return
			case signal, ok := <-signals:
				if !ok {
					return
				}
				var name, was, is string
				if dbus.Store(signal.Body, &name, &was, &is) != nil || name != resolvedName || is == "" {
					continue
				}
				select {
				case up <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}()
	return up, nil
}
