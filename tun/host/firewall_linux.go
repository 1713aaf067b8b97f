package host

import (
	"vpn/tun/host/firewall"
)

// firewall compares the tables that the journal tells of with those that are
// loaded. A kernel without nftables is no obstacle where none is wanted.
func (r *reader) firewall() error {
	var wanted []firewall.Ruleset
	if r.q.Journal != nil {
		for _, e := range r.q.Journal.Entries() {
			if a, ok := e.Do.(LoadTable); ok && a.ruleset() != nil {
				wanted = append(wanted, a.ruleset())
			}
		}
	}
	loaded, err := firewall.List()
	if err != nil && len(wanted) > 0 {
		return err
	}
	there := map[firewall.Table]bool{}
	for _, t := range loaded {
		there[t] = true
		if link, is := t.KillSwitchOf(); is && link != r.q.Link {
			r.s.KillSwitches = append(r.s.KillSwitches, link)
		}
	}
	r.s.KillSwitch = there[firewall.KillSwitch{Link: r.q.Link}.Table()]
	r.s.Damaged = map[string]bool{}
	for _, set := range wanted {
		intact := there[set.Table()]
		if intact {
			if intact, err = set.Intact(); err != nil {
				return err
			}
		}
		r.s.Damaged[set.Table().String()] = !intact
	}
	return nil
}
