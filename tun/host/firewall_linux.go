package host

import (
	"vpn/tun/host/firewall"
)

// firewall compares the tables that the journal tells of with those that are
// loaded.
func (r *reader) firewall() error {
	loaded, err := firewall.List()
	if err != nil {
		return err
	}
	there := map[firewall.Table]bool{}
	for _, t := range loaded {
		there[t] = true
	}
	r.s.KillSwitch = there[firewall.KillSwitch{Link: r.q.Link}.Table()]
	r.s.Damaged = map[string]bool{}
	if r.q.Journal == nil {
		return nil
	}
	for _, e := range r.q.Journal.Entries() {
		a, ok := e.Do.(LoadTable)
		if !ok || a.ruleset() == nil {
			continue
		}
		intact := there[a.ruleset().Table()]
		if intact {
			if intact, err = a.ruleset().Intact(); err != nil {
				return err
			}
		}
		r.s.Damaged[a.ruleset().Table().String()] = !intact
	}
	return nil
}
