//go:build linux && !race

package testnet

// raceFlags is empty: see its twin.
var raceFlags []string
