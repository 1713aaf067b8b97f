// Bench measures this program beside wireguard-go on one machine, alternating:
// run it by scripts/bench, as root. It builds both, joins two network namespaces
// by a veth pair, puts a daemon into each, and prints medians, ratios and the
// project's goals. It needs Go and root, nothing else; it takes about half an
// hour, --quick two minutes; it touches nothing outside its namespaces, and
// leaves nothing behind, however it ends.
//
// What is measured, by the names that --only takes:
//
//	tcp         one stream and four (cubic), there and both ways at once; CPU seconds per GB,
//	            resident memory, and pings beside the one stream
//	rtt         pings through a tunnel that is otherwise idle, and its memory
//	udp         the highest rate of which less than 1 % is lost, for packets of three
//	            sizes, and the CPU time of each at a fixed rate
//	handshakes  how many initiations one processor answers in a second
//	flood       what is left of a TCP stream while forged initiations come from a
//	            million addresses, and memory then
//	peers       memory and time of many idle peers, and of showing them
//	start       from the start of the program to the first answered ping
//	up          from "vpn up", or wg-quick's "up" with wireguard-go, to the first answered
//	            ping, and with many routes
//
// All CPU time is what the kernel accounts to the daemons' processes, both of a
// pair together. Sizes of UDP packets are those of their payload.
//
// Others can be put beside the two: --peer 'name=command %i', a program that
// makes the device named for %i, stays in the foreground, and answers the
// cross-platform configuration protocol.
package main
