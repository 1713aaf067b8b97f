package host

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// routeTypes are the kernel's numbers of routes that need no link.
var routeTypes = map[RouteType]int{Throw: unix.RTN_THROW, Unreachable: unix.RTN_UNREACHABLE}

func (x *executor) netlinkRoute(r Route) (*netlink.Route, error) {
	route := &netlink.Route{
		Dst:      ipNet(r.Prefix),
		Table:    int(r.Table),
		Priority: int(r.Metric),
		Protocol: Protocol,
		Type:     routeTypes[r.Type],
	}
	if r.Type != Unicast {
		if route.Type == 0 {
			return nil, fmt.Errorf("no route of type %q can be made", r.Type)
		}
		return route, nil
	}
	var err error
	route.LinkIndex, err = x.link(r.Link)
	if r.Prefix.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	return route, err
}

func (x *executor) addRoute(r Route) error {
	route, err := x.netlinkRoute(r)
	if err != nil {
		return err
	}
	err = x.nl.RouteAdd(route)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	routes, err := readRoutes(x.nl.LinkByIndex)
	if err != nil {
		return err
	}
	for _, other := range routes {
		if placeOf(other.Route) != placeOf(r) {
			continue
		}
		if other.Link == r.Link && other.Type == r.Type {
			return nil
		}
		return fmt.Errorf("%s has it already, with the same metric", cmp.Or(other.Link, "a route of type "+string(other.Type)))
	}
	return unix.EEXIST
}

func (x *executor) deleteRoute(r Route) error {
	route, err := x.netlinkRoute(r)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	route.Scope = netlink.SCOPE_NOWHERE // whatever it has
	return not(x.nl.RouteDel(route), unix.ESRCH, unix.ENODEV, unix.EAFNOSUPPORT)
}

// restore sends back what the kernel has told of a route or a rule, as `ip route
// restore` does.
func restore(kind int, message []byte) error {
	request := nl.NewNetlinkRequest(kind, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddRawData(message)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return not(err, unix.EEXIST)
}

func (r Rule) netlink() *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family = netlink.FAMILY_V4
	if r.Six {
		rule.Family = netlink.FAMILY_V6
	}
	rule.Priority = int(r.Priority)
	rule.Invert = r.Not
	rule.Mark = r.Mark
	rule.Table = int(r.Table)
	if r.NoDefault {
		rule.SuppressPrefixlen = 0
	}
	rule.Protocol = Protocol
	return rule
}
