// Package testnet gives tests and benchmarks a network of their own: hosts that
// are network namespaces, veth links, routers with address translation, the
// daemons under test, and the traffic to try them with. It needs root and Linux,
// and no other program.
//
// A [Host] is an anonymous namespace: the kernel removes it, with its links,
// when the test process and the processes started in it are gone. Processes die
// with the thread that started them, so a killed run leaves nothing behind but
// the control sockets of its daemons and the folder of its binaries; both carry
// the process id in their name, and the next run removes those of the dead.
//
// Hosts belong to one test, and their methods fail that test where they fail.
// They are called from the test's goroutine only.
package testnet
