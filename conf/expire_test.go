package conf

import (
	"testing"
	"time"
)

func TestDropExpired(t *testing.T) {
	const text = "[Interface]\n[Peer]\nPublicKey = " + oneText + "\nPresharedKey = " + pskText + "\n#vpn: Expires = 2030-06-01T12:00:00+02:00\n" +
		"[Peer]\nPublicKey = " + twoText + "\n#vpn: Expires = 2031-01-01\n"
	at := time.Date(2030, 6, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now   time.Time
		peers int
		next  time.Time
	}{
		{at.Add(-time.Second), 2, at},
		{at, 1, time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)},
		{at.AddDate(1, 0, 0), 0, time.Time{}},
	} {
		config, _, err := Parse("wg0.conf", []byte(text), WGQuick)
		if err != nil {
			t.Fatal(err)
		}
		all := config.Peers
		dropped := config.DropExpired("wg0.conf", c.now)
		if len(config.Peers) != c.peers || len(dropped) != 2-c.peers || !config.NextExpiry().Equal(c.next) {
			t.Errorf("%v: %d peers, dropped %v, next %v", c.now, len(config.Peers), dropped, config.NextExpiry())
		}
		if c.peers < 2 {
			const want = `wg0.conf:5: Expires "2030-06-01T10:00:00Z": is over: the peer is left out`
			if dropped[0].String() != want || !all[0].Preshared.Value.IsZero() {
				t.Errorf("%v: says %v", c.now, dropped[0])
			}
		}
	}
}
