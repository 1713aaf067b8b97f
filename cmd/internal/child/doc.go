// Package child is both ends of the socket pair between a keeper, which is
// privileged and owns what outlives an engine, and the engine, which is `vpn
// device` with descriptors given to it.
//
// The keeper's end is [Start], or [Launch] ahead of time, which return an [Engine],
// and [Ports], the UDP sockets that stay when engines come and go. It takes the engine for hostile:
// what comes from there is bounded and checked, and never waited for. The
// engine's end is [Connect], which returns the [Keeper]: it opens no file and
// needs no privilege, because sockets, marks and timestamps are asked for. It
// never waits for the keeper where packets pass.
//
// A message is one JSON object in one packet of a SOCK_SEQPACKET pair;
// descriptors go to the engine only. It is for Linux.
package child
