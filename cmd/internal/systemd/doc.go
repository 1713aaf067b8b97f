// Package systemd talks to the service manager, from both sides: a daemon tells
// it how it is (Ready, Reloading, Watchdog, ...), and a person's command has it
// start and stop units ([Manager]).
package systemd
