package metrics

// family is one name, and all that is told under it.
type family int

// The families, in the order in which they are told.
const (
	peerSent family = iota
	peerReceived
	peerHandshake
	peerHandshakeDelay
	peerUp
	peerSessionAge
	peerRekeys
	peerDrops

	interfaceInfo
	interfaceAnswers
	interfaceUp
	interfaceStart
	interfacePeers
	interfaceOthers
	interfaceFaults
	handshakes
	handshakeMessages
	rekeys
	sessionsEnded
	endpointMoves
	pathRefusals
	drops
	socketErrors
	underLoad
	handshakesWaiting
	stagedBytes
	queueDelay

	buildInfo

	families
)

const (
	counter   = "counter"
	gauge     = "gauge"
	histogram = "histogram"
)

var described = [families]struct{ name, kind, help string }{
	// The names of prometheus_wireguard_exporter, and of those that follow it.
	peerSent:           {"wireguard_sent_bytes_total", counter, "Bytes sent to the peer, with all that WireGuard adds."},
	peerReceived:       {"wireguard_received_bytes_total", counter, "Bytes received from the peer in authentic messages, with all that WireGuard adds."},
	peerHandshake:      {"wireguard_latest_handshake_seconds", gauge, "Unix time of the latest handshake with the peer, 0 if there was none."},
	peerHandshakeDelay: {"wireguard_latest_handshake_delay_seconds", gauge, "Time since the latest handshake with the peer."},

	peerUp:         {"vpn_peer_up", gauge, "1 if there is a session with the peer, and it answers."},
	peerSessionAge: {"vpn_peer_session_age_seconds", gauge, "Age of the session that messages to the peer go by."},
	peerRekeys:     {"vpn_peer_rekeys_total", counter, "Sessions with the peer that took the place of one that could still be used."},
	peerDrops:      {"vpn_peer_drops_total", counter, "Packets and messages of the peer, or to it, that went no further."},

	interfaceInfo:     {"vpn_interface_info", gauge, "1; the labels say what runs the interface, and its public key."},
	interfaceAnswers:  {"vpn_interface_answers", gauge, "1 if whoever runs the interface has answered; all else is told only then."},
	interfaceUp:       {"vpn_interface_up", gauge, "1 if the link is up and its port is open."},
	interfaceStart:    {"vpn_interface_start_time_seconds", gauge, "Unix time at which the interface's counters began."},
	interfacePeers:    {"vpn_peers", gauge, "Peers, by how they are."},
	interfaceOthers:   {"vpn_peers_without_series", gauge, "Peers that have no series of their own; those of them that have talked are added up under the public_key other."},
	interfaceFaults:   {"vpn_interface_faults", gauge, "What of the configuration is not in force and can't be set right, such as a name that does not resolve."},
	handshakes:        {"vpn_handshakes_total", counter, "Handshakes by outcome: completed, unanswered (an initiation, after its time), given_up (after many of them), failed (with a peer), refused (of strangers)."},
	handshakeMessages: {"vpn_handshake_messages_total", counter, "Authentic handshake messages, by what they are."},
	rekeys:            {"vpn_rekeys_total", counter, "Sessions that took the place of one that could still be used."},
	sessionsEnded:     {"vpn_sessions_ended_total", counter, "Sessions that ended, by why."},
	endpointMoves:     {"vpn_endpoint_moves_total", counter, "Times a peer was found at another address."},
	pathRefusals:      {"vpn_path_refusals_total", counter, "ICMP errors for messages to peers, and messages for which the kernel knew no way."},
	drops:             {"vpn_drops_total", counter, "Packets and messages that went no further, by reason."},
	socketErrors:      {"vpn_socket_errors_total", counter, "Datagrams that were never looked at: failed (the system's error), malformed, overflow (the receive buffer was full)."},
	underLoad:         {"vpn_under_load", gauge, "1 if handshake messages come so fast that cookies are demanded."},
	handshakesWaiting: {"vpn_handshakes_waiting", gauge, "Handshake messages and initiations that wait for a worker."},
	stagedBytes:       {"vpn_staged_bytes", gauge, "Bytes of packets that wait for a session."},
	queueDelay: {"vpn_queue_delay_seconds", histogram,
		"Time in queues: out (a batch of packets from the device to the socket; one in 64 is timed), in (the same on the way back), handshake (a message, until a worker has it), session (packets, until there is one)."},

	buildInfo: {"vpn_build_info", gauge, "1; the labels say what program this is."},
}
