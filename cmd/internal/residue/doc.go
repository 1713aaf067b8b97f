// Package residue holds the tests that keys are gone when they are over. A peer of the tests' own, which computes every
// secret of a handshake in the open, talks to real daemons, and all memory of these is searched for each. It has no code
// of its own to import.
package residue
