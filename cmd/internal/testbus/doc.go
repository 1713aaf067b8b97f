// Package testbus gives tests a system bus of their own: a real dbus-daemon, in
// a folder of its own, that allows everything to everybody. The machine's bus is
// never touched.
package testbus
