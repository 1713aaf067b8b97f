// What numbers, times and the engine's terms are called on the page.

const clock = new Intl.DateTimeFormat([], {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
const exact = new Intl.DateTimeFormat([], {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"});
const whole = new Intl.NumberFormat("en");

export const minute = t => clock.format(t);
export const second = t => exact.format(t);
export const count = n => whole.format(n);
export const many = (n, one, more = one + "s") => `${count(n)} ${n === 1 ? one : more}`;

function digits(n) {
	return n === 0 ? "0" : n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0);
}

function amount(n, base, units) {
	let u = 0;
	while (u < units.length - 1 && n >= base * 0.9995) {
		n /= base;
		u++;
	}
	return `${u === 0 ? Math.round(n) : digits(n)} ${units[u]}`;
}

// rate writes bytes a second as bits a second, as links are measured.
export const rate = bytes => amount(bytes * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"]);
export const bytes = n => amount(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);

// span writes milliseconds in the two largest units.
export function span(ms) {
	let s = Math.max(0, Math.floor(ms / 1000));
	const parts = [];
	for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
		const n = Math.floor(s / size);
		s %= size;
		if (n > 0 || unit === "s" && parts.length === 0) {
			parts.push(`${n} ${unit}`);
		} else if (parts.length > 0) {
			break;
		}
		if (parts.length === 2) {
			break;
		}
	}
	return parts.join(" ");
}

export const plain = term => term.replaceAll("_", " ");

// whys are the ends of sessions, and what those that live are for.
export const whys = {
	alive: "in use",
	receiving: "followed by a newer one, still receives",
	next: "waits for the peer's first message",
	replaced: "replaced by a newer session",
	expired: "expired: nothing was sent to renew it",
	displaced: "displaced before it was confirmed",
	peer_removed: "the peer was removed",
	device_down: "the interface went down",
	key_changed: "a key changed",
	suspended: "the machine went to sleep",
	handshake_lost: "the handshake could not be sent",
	engine_ended: "the program behind it ended",
	unknown: "not told",
};

// reasons explain drops, where the term alone does not.
export const reasons = {
	not_ip: "a packet that is not IP",
	no_peer: "no peer's AllowedIPs cover the destination",
	no_endpoint: "nobody knows where the peer is",
	staging_full: "too many packets waited for a session",
	no_answer: "the peer did not answer in time",
	no_session: "the session they waited for was called off",
	routing_loop: "a message of the tunnel was routed into the tunnel",
	send_failed: "the kernel refused the message",
	link_down: "there was no socket to send from",
	not_a_message: "not WireGuard",
	bad_mac1: "the sender has another public key for this host",
	cookie_demanded: "under load: answered with a cookie",
	rate_limited: "one source sent too many handshake messages under load",
	handshake_queue_full: "handshake messages came too fast",
	bad_handshake: "a handshake message failed authentication",
	unknown_peer: "a key that is not configured here",
	replayed_initiation: "a handshake no newer than the last one: a replay, or a clock behind",
	initiation_flood: "handshakes of one peer came too fast",
	bad_cookie_reply: "a cookie that nobody asked for",
	no_private_key: "the interface had no key yet",
	unknown_index: "of a session that is not known here: mostly one that is over",
	key_expired: "the session was over",
	bad_tag: "a message failed authentication",
	replayed_counter: "seen before, or too late to tell",
	bad_inner_packet: "what was inside is no IP packet",
	source_not_allowed: "the source belongs to another peer, or to none",
	congested: "a router on the way asked for less",
	device_refused: "the interface did not take the packet",
	out_of_memory: "no memory for the session's keys",
};

const seq = e => e.unanswered > 1 ? `, number ${e.unanswered} without an answer` : "";
const at = e => e.from ? ` from ${e.from}` : "";
const kinds = {
	initiation_sent: e => `Handshake sent to ${e.endpoint ?? "the peer"}${seq(e)}`,
	initiation_received: e => `Handshake received${at(e)}`,
	response_sent: e => `Handshake answered, to ${e.endpoint ?? "the peer"}`,
	response_received: e => `The peer answered${at(e)}`,
	session_started: e => `Session ${e.session} began; ${e.role === "initiator" ? "this side asked for it" : "the peer asked for it"}`,
	session_ended: e => `Session ${e.session} ended: ${whys[e.why] ?? plain(e.why ?? "")}`,
	attempt_given_up: e => `Handshake given up${e.unanswered ? ` after ${many(e.unanswered, "try", "tries")}` : ""}`,
	initiation_unanswered: e => `No answer${e.endpoint ? ` from ${e.endpoint}` : ""}${seq(e)}`,
	endpoint_moved: e => `The peer moved to ${e.endpoint ?? e.from ?? "another address"}`,
	cookie_received: e => `The peer is under load and asked for a cookie`,
	handshake_failed: e => `Handshake${at(e)} refused: ${reasons[e.reason] ?? plain(e.reason ?? "")}`,
	source_refused: e => `A packet from ${e.address}, which is not the peer's to send from`,
	path_refused: e => `Message to ${e.to ?? e.endpoint} did not get there: ${e.refusal?.error ?? "refused"}${e.from ? `, says ${e.from}` : ""}`,
};

// happened says what an event was.
export function happened(e) {
	const text = (kinds[e.kind] ?? (() => plain(e.kind)))(e);
	return e.times > 1 ? `${text} (${count(e.times)} times)` : text;
}

const origins = {
	set: "set by hand", file: "from the file", candidate: "the candidate that answered", roamed: "it roamed there", cache: "where it was last",
};

// endpoint says where a peer is and how that was found.
export function endpoint(p) {
	if (!p.endpoint) {
		return p.endpoint_configured || "not known";
	}
	const how = p.endpoint_from === "name" ? p.endpoint_configured : origins[p.endpoint_from];
	return how ? `${p.endpoint} (${how})` : p.endpoint;
}
