// Package testnet gives tests and benchmarks a network of their own: hosts that
// are network namespaces, veth links, routers with address translation, the
// daemons under test, and the traffic to try them with. It needs root and Linux,
// and no other program.
//
// A [Host] is an anonymous namespace: the kernel removes it, with its links, when
// the test process and the processes started in it are gone. One of [NewMachine]
// has files of its own, too. Processes die with the thread that started them, so a
// killed run leaves nothing behind but daemons that have detached themselves, their
// control sockets, and the folder of binaries; the process id in their names tells
// the next run what to remove of the dead.
//
// Hosts belong to one test, and their methods fail that test where they fail.
// They are called from the test's goroutine only.
package testnet
