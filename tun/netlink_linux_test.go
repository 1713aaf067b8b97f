package tun

import (
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzMessages reads any bytes as link messages.
func FuzzMessages(f *testing.F) {
	r := newRequest(unix.RTM_DELLINK, 0, 7).number(unix.IFLA_MTU, 1420).number(unix.IFLA_NEW_NETNSID, 3).number(unix.IFLA_NEW_IFINDEX, 9)
	r.attribute(unix.IFLA_IFNAME, []byte("wg0\x00"), nil)
	r.tunInfo("tun", 2, 3)
	r.b[0] = byte(len(r.b))
	f.Add(r.b)
	f.Add(append(r.b, r.b...))
	f.Add(r.b[:20])
	f.Add([]byte{16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var total int
		for m := range messages(b) {
			total += unix.NLMSG_HDRLEN + len(m.body)
			if l, ok := parseLink(m.body); ok != (len(m.body) >= unix.SizeofIfInfomsg) || len(l.name) > len(m.body) {
				t.Fatalf("%+v, %v of %d bytes", l, ok, len(m.body))
			}
		}
		if total > len(b) {
			t.Fatalf("%d bytes of messages in %d", total, len(b))
		}
		namespaceOf(b)
	})
}

// tunInfo appends what the driver says of a link.
func (r *request) tunInfo(kind string, queues, disabled int) {
	r.attribute(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil, func() {
		r.attribute(unix.IFLA_INFO_KIND, append([]byte(kind), 0), nil)
		r.attribute(unix.IFLA_INFO_DATA, nil, func() {
			r.attribute(unix.IFLA_TUN_MULTI_QUEUE, []byte{1}, nil)
			r.number(unix.IFLA_TUN_NUM_QUEUES, queues).number(unix.IFLA_TUN_NUM_DISABLED_QUEUES, disabled)
		})
	})
}

func TestParseLink(t *testing.T) {
	for kind, users := range map[string]int{"tun": 5, "bond": 0} {
		r := newRequest(unix.RTM_DELLINK, 0, 7).number(unix.IFLA_MTU, 1420).number(unix.IFLA_NEW_NETNSID, 3).number(unix.IFLA_NEW_IFINDEX, 9)
		r.attribute(unix.IFLA_IFNAME, []byte("wg0\x00"), nil)
		r.tunInfo(kind, 2, 3)
		l, ok := parseLink(r.b[unix.NLMSG_HDRLEN:])
		if want := (link{index: 7, name: "wg0", mtu: 1420, users: users, newNS: 3, newIndex: 9}); !ok || l != want {
			t.Errorf("%+v, want %+v", l, want)
		}
	}
}
