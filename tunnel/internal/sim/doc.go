// Package sim plays the engine on virtual time, from a seed: several nodes, a network that loses, doubles, delays, cuts and flips, an
// attacker who replays what he recorded and floods whom he likes, and owners who change everything in mid-flight. A referee who sees only what a node is given and
// what comes out of it holds the rules that must never be broken. It is all test:
//
//	go test ./tunnel/internal/sim                                # the seeds of every change
//	go test ./tunnel/internal/sim -run Seeds -seed 17 -show      # one seed, and what happened in it
//	go test ./tunnel/internal/sim -run Seeds -first 1e6 -seeds 1e5
//
// # One seed, one trace
//
// A node is a whole engine with the goroutines that it has in life, and those run as they like. Yet a seed gives the same trace, byte for
// byte, because the world gives each node one thing at a time - a datagram, a batch of packets, a tick, a change of configuration - and
// waits until all its goroutines are at rest (testing/synctest tells) before the next. Within such a step nothing can depend on who
// runs first:
//
//   - time stands still, and no other node is at work;
//   - keys and indices are read by one goroutine, the worker for handshakes, whose queue is filled in the order of the step, and nonces of
//     cookies by another one; what several may read, jitter and names, is the same number during the whole step (see randomness);
//   - what a peer sends it sends under its lock or in the order of its line; what went to different places is put in the order of addresses
//     before anybody sees it (see node.take).
//
// Reading order: world_test.go (time, steps), node_test.go, wires_test.go, clock_test.go and disk_test.go (one engine and what it is made of),
// packets_test.go and addresses_test.go (what it is given to send, and where it is), network_test.go, attacker_test.go, chaos_test.go and
// load_test.go (what befalls them), play_test.go (the course of a seed), referee_test.go, letters_test.go, rules_test.go and
// load_rules_test.go (what must hold), twins_test.go (that the referee sees it when it doesn't), census_test.go (that all of it happens),
// stock_test.go (wireguard-go as the other node).
package sim
