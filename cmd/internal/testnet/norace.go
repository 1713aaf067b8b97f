//go:build linux && !race

package testnet

// raceFlags is empty: see its twin.
var raceFlags []string

// buildEnv makes static programs, as scripts/install does.
var buildEnv = []string{"CGO_ENABLED=0"}
