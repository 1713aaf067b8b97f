// Package metricstest holds the tests of `vpn metrics` and of scripts/grafana.json, with a real Prometheus, real tunnels, and stock
// wireguard-go at the other end. It has no code of its own to import.
package metricstest
