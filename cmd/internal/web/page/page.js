// The page asks its server once a second for what it shows, and shows it.
import {$, el, keyed, text} from "./dom.js";
import {List} from "./list.js";
import {Plot} from "./plot.js";
import {Timeline} from "./timeline.js";
import {bytes, count, endpoint, happened, many, plain, reasons, second, span} from "./words.js";

const pause = 1000, patience = 10000;
const engines = {vpn: "run by vpn", kernel: "run by the kernel", other: "run by another program, which tells little"};
const states = ["silent", "unresolved", "off", "handshake", "never", "up", "waiting", "idle"];

// What stands behind the # of the address: the token, and what is shown.
const place = () => new URLSearchParams(location.hash.slice(1));

function go(changes, instead) {
	const p = place();
	for (const [name, value] of Object.entries(changes)) {
		if (value) {
			p.set(name, value);
		} else {
			p.delete(name);
		}
	}
	history[instead ? "replaceState" : "pushState"](null, "", `#${p}`);
	ask();
}

const plots = {link: new Plot($("link-plot"), "the interface", 200), peer: new Plot($("peer-plot"), "the peer", 150)};
const timeline = new Timeline($("timeline"));
const list = new List(peer => go({peer}, true), ask);

let busy = false, again = false, timer, answered = 0;

// ask asks now, or right after the question that is under way.
async function ask() {
	if (busy) {
		again = true;
		return;
	}
	clearTimeout(timer);
	busy = true;
	again = false;
	const here = place(), rows = list.wanted();
	const q = new URLSearchParams({sort: $("sort").value, first: rows.first, count: rows.count});
	for (const [name, value] of [["interface", here.get("interface")], ["peer", here.get("peer")], ["filter", $("filter").value.trim()]]) {
		if (value) {
			q.set(name, value);
		}
	}
	try {
		const r = await fetch(`v1/view?${q}`, {
			headers: {Authorization: `Bearer ${here.get("token") ?? ""}`}, credentials: "omit", signal: AbortSignal.timeout(patience),
		});
		if (r.status === 401) {
			notice("The address is not whole", "What this page shows is for those who have the address that “vpn web” has printed, with its token.");
		} else if (!r.ok) {
			lost(await r.text());
		} else {
			answered = Date.now();
			show(await r.json());
		}
	} catch {
		lost("no answer: is “vpn web” still running?");
	}
	busy = false;
	if (again) {
		ask();
	} else if (!document.hidden) {
		timer = setTimeout(ask, pause);
	}
}

function pulse(words, good) {
	text($("pulse"), words);
	$("pulse").classList.toggle("bad", !good);
}

function lost(why) {
	pulse(answered ? `stopped at ${second(answered)}: ${why}` : why, false);
}

function notice(title, words) {
	$("notice").hidden = false;
	for (const id of ["link", "columns", "drops"]) {
		$(id).hidden = true;
	}
	text($("notice-title"), title);
	text($("notice-text"), words);
	pulse("", true);
}

function show(v) {
	text($("host"), v.host);
	document.title = v.interface ? `${v.interface.name} · ${v.host}` : `vpn · ${v.host}`;
	pulse("live", true);
	showLinks(v);
	if (!v.interface) {
		notice("No interface", "No WireGuard interface is there. “vpn up NAME” brings one up, and it will show here.");
		return;
	}
	for (const id of ["link", "columns"]) {
		$(id).hidden = false;
	}
	$("notice").hidden = true;
	const i = v.interface, now = Date.parse(i.now);
	showLink(i, now);
	drops($("link-drops"), i.drops ?? [], now);
	$("drops").hidden = !i.drops?.length;
	list.update(v, place().get("peer"), now);
	$("none").hidden = v.matched > 0;
	text($("none"), i.peer_count ? "No peer matches the filter." : "It has no peers.");
	text($("counts"), states.filter(s => i.counts[s]).map(s => `${count(i.counts[s])} ${s}`).join(", "));
	document.querySelector(".controls").hidden = i.peer_count < 2;
	if (!place().get("peer") && v.peers.length === 1 && i.peer_count === 1) {
		go({peer: v.peers[0].public_key}, true); // there is nothing to choose
	}
	const one = i.peer_count === 1 && Boolean(v.peer); // then a list says nothing more
	$("columns").classList.toggle("one", one);
	$("peers").hidden = one;
	showPeer(v.peer, now, one);
}

function showLinks(v) {
	const name = v.interface?.name;
	keyed($("links"), v.interfaces, i => i.name, i => {
		const button = el("button", {type: "button"}, el("i", {class: "dot"}), i.name);
		button.addEventListener("click", () => go({interface: i.name, peer: ""}));
		return el("li", {}, button);
	}, (node, i) => {
		node.firstChild.classList.toggle("bad", !i.good);
		node.firstChild.setAttribute("aria-current", i.name === name);
		node.firstChild.setAttribute("title", i.state);
	});
}

function showLink(i, now) {
	text($("link-name"), i.name);
	text($("link-state"), i.state);
	$("link-state").dataset.state = i.good ? "up" : "silent";
	const facts = [engines[i.engine]];
	if (i.since) {
		facts[0] += ` for ${span(now - Date.parse(i.since))}`;
	}
	if (i.listen_port) {
		facts.push(`port ${i.listen_port}`);
	}
	facts.push(many(i.peer_count ?? 0, "peer"));
	text($("link-facts"), facts.filter(Boolean).join(" · "));
	const faults = [...(i.error ? [i.error] : []), ...(i.faults ?? [])];
	$("faults").hidden = faults.length === 0;
	keyed($("faults"), faults, f => f, f => el("li", {}, f), () => {});
	if (i.plot) {
		plots.link.name = i.name;
		plots.link.update(i.plot, i.rx_rate, i.tx_rate);
	}
}

function showPeer(p, now, alone) {
	$("peer-all").hidden = !p;
	$("peer-hint").hidden = Boolean(p);
	text($("peer-name"), p ? p.name || `Peer ${p.public_key.slice(0, 8)}…` : place().get("peer") ? "This peer is not there" : "No peer chosen");
	text($("peer-state"), p?.verdict ?? "");
	$("peer-state").dataset.state = p?.state ?? "";
	if (!p) {
		return;
	}
	const current = p.sessions?.find(s => s.place === "current");
	const facts = [
		["Public key", p.public_key],
		["Endpoint", endpoint(p)],
		["Allowed IPs", p.allowed_ips?.join(", ") || "none: no packet can go there"],
		["Last handshake", p.latest_handshake ? `${span(now - Date.parse(p.latest_handshake))} ago` : "never"],
		["Received", bytes(p.rx_bytes)],
		["Sent", bytes(p.tx_bytes)],
	];
	keyed($("peer-facts"), facts, f => f[0], f => el("div", {}, el("dt", {}, f[0]), el("dd")), (node, f) => text(node.lastChild, f[1]));
	$("peer-plot").hidden = !p.plot || alone; // the interface's is the same
	if (p.plot) {
		plots.peer.name = p.name || "the peer";
		plots.peer.update(p.plot, p.rx_rate, p.tx_rate);
	}
	timeline.update(p.chain, now, next(current, now));
	drops($("peer-drops"), p.drops ?? [], now);
	const events = [...(p.events ?? [])].reverse();
	keyed($("events"), events, e => [e.kind, e.first ?? e.time, e.session, e.why].join(), () => el("li", {}, el("time"), el("span")), (node, e) => {
		text(node.firstChild, second(Date.parse(e.time)));
		text(node.lastChild, happened(e));
	});
	if (events.length === 0) {
		$("events").replaceChildren(el("li", {class: "quiet"}, "Nothing that is told of."));
	}
}

// next is what becomes of the session that sends.
function next(s, now) {
	if (!s) {
		return "No session now.";
	}
	const at = s.replaced_at ? Date.parse(s.replaced_at) : 0;
	const what = at > now ? `replaced in ${span(at - now)}` : at ? "replaced when something is sent" : "which the peer replaces";
	return `${s.name} sends, ${what}; it ends in ${span(Date.parse(s.expires) - now)} at the latest.`;
}

function drops(parent, all, now) {
	const sorted = [...all].sort((a, b) => b.count - a.count || a.reason.localeCompare(b.reason));
	const most = sorted[0]?.count ?? 1;
	if (!parent.firstChild) {
		parent.append(el("p", {class: "quiet"}, "Nothing."), el("ul", {class: "drops"}));
	}
	const [none, ul] = parent.children;
	none.hidden = sorted.length > 0;
	ul.hidden = sorted.length === 0;
	keyed(ul, sorted, d => d.reason, d => el("li", {}, el("span", {class: "reason"}, el("b", {}, plain(d.reason)), " ", reasons[d.reason] ?? ""),
		el("span", {class: "number"}), el("span", {class: "track"}, el("i")), el("span", {class: "last"})), (node, d) => {
		text(node.children[1], count(d.count));
		node.children[2].firstChild.style.width = `${Math.max(100 * d.count / most, 0.5)}%`;
		text(node.children[3], d.last ? `last ${span(now - Date.parse(d.last))} ago` : "");
	});
}

$("filter").addEventListener("input", () => {
	$("list").scrollTop = 0;
	ask();
});
$("sort").addEventListener("change", ask);
addEventListener("hashchange", ask);
addEventListener("popstate", ask);
document.addEventListener("visibilitychange", () => document.hidden || ask());
addEventListener("keydown", e => {
	if (e.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName) && !e.ctrlKey && !e.metaKey && !e.altKey) {
		e.preventDefault();
		$("filter").focus();
	}
});
ask();
