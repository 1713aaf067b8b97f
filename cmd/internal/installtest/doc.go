// Package installtest holds the tests of scripts/install and of the systemd units
// that it installs, which run under a systemd of their own. It has no code of its
// own to import.
package installtest
