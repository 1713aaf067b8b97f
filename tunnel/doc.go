// Package tunnel is the engine: it moves packets between a TUN device and UDP sockets through the sessions of its peers.
//
// A Tunnel is made of values that were opened elsewhere: the device, an opener of sockets, the clock, the memory for keys. It
// is configured and read through package uapi and in no other way, so it makes no difference whether a configuration comes from our own
// file or from a stranger's wg.
//
// Reading order: tunnel.go (what is there, up and down), peer.go (one peer), line.go (who works on a batch, and in which order),
// outbound.go and sender.go (device to socket), inbound.go (socket to device), handshakes.go, cookies.go and handshake.go (the handshake's messages),
// timers.go (deadlines), config.go (set and get).
//
// Lock order: settings.mu, allowedips.Table, identity.mu, Peer.mu, then any one of the small ones (peerTable, indexTable, schedule,
// handshakes). The packet paths take Peer.mu only when a deadline or a state changes.
package tunnel
