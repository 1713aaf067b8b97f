package systemd

// Service is what a transient unit runs: a daemon that notifies, with the
// properties of vpn@.service where they matter for one that was started by hand.
type Service struct {
	Description string
	Args        []string // the program by its absolute path, and its arguments
	Env         []string // NAME=value, beside what systemd gives to all
	Dir         string   // working directory; empty for /
	Name        string   // of the interface
}
