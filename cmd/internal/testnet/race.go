//go:build linux && race

package testnet

// raceFlags builds the daemons with the race detector when the test has it.
var raceFlags = []string{"-race"}

// buildEnv lets the compiler use C, which the race detector needs.
var buildEnv []string
