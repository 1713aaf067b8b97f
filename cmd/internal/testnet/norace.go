//go:build linux && !race

package testnet

// raced says that the test is built with the race detector.
const raced = false
