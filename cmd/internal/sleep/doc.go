// Package sleep tells when the system is about to sleep and when it is awake
// again, as systemd-logind announces it on the system bus.
package sleep
