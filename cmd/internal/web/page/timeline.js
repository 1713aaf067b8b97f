// The chain of a peer's sessions: each a bar from its birth to its end, coloured by why it ended.
import {attribute, el, keyed, svg, text, ticks, windowOf} from "./dom.js";
import {count, many, minute, plain, second, span, whys} from "./words.js";

const row = 22, gap = 4, bottom = 20;
const order = Object.keys(whys);

// kindOf is why a session ended or, while it lives, what it is for.
function kindOf(s, now) {
	if (s.ended && (s.name || Date.parse(s.ended) <= now)) {
		return s.why || "unknown";
	}
	return !s.place || s.place === "current" ? "alive" : s.place === "next" ? "next" : "receiving";
}

const lives = kind => kind === "alive" || kind === "next" || kind === "receiving";

function describe(s, now) {
	const born = Date.parse(s.born), ended = s.ended ? Date.parse(s.ended) : now, kind = kindOf(s, now);
	const life = lives(kind) ? `since ${second(born)}, for ${span(now - born)}` : `${second(born)} to ${second(ended)}, ${span(ended - born)}`;
	const parts = [s.name || "session", life, whys[kind] ?? plain(kind)];
	if (s.name) {
		parts.push(`${count(s.sent_messages)} sent, ${count(s.received_messages)} received`);
	}
	return parts.join(" · ");
}

export class Timeline {
	constructor(parent) {
		this.chosen = null;
		this.chain = [];
		this.svg = svg("svg", {role: "img", tabindex: "0", class: "timeline"});
		this.said = el("p", {class: "said", "aria-live": "polite"});
		this.legend = el("ul", {class: "whys"});
		this.body = el("tbody");
		const head = el("tr", {}, ...["Session", "Born", "Lived", "Role", "Ended", "Sent", "Received"].map(h => el("th", {scope: "col"}, h)));
		this.table = el("details", {}, el("summary", {}, "As a table"),
			el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "Sessions as a table"}, el("table", {}, el("thead", {}, head), this.body)));
		parent.append(this.svg, this.said, this.legend, this.table);
		new ResizeObserver(() => this.draw()).observe(this.svg);
		this.svg.addEventListener("pointerover", e => this.choose(e.target.dataset.n));
		this.svg.addEventListener("pointerleave", () => this.choose());
		this.svg.addEventListener("blur", () => this.choose());
		this.svg.addEventListener("keydown", e => this.key(e));
		this.table.addEventListener("toggle", () => this.draw());
	}

	update(chain, now, next) {
		Object.assign(this, {chain, now, next});
		this.draw();
	}

	choose(n) {
		const s = n === undefined ? undefined : this.chain[n];
		this.chosen = s ? s.born + s.name : null;
		this.draw();
	}

	key(e) {
		const last = this.chain.length - 1, at = this.chain.findIndex(s => s.born + s.name === this.chosen);
		const to = {ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), ArrowRight: at < 0 ? last : Math.min(at + 1, last), Home: 0, End: last, Escape: -1}[e.key];
		if (to !== undefined) {
			e.preventDefault();
			this.choose(to < 0 ? undefined : to);
		}
	}

	draw() {
		const width = this.svg.clientWidth, {chain, now} = this;
		if (!now || width === 0 || document.hidden) {
			return;
		}
		const first = chain.length ? Math.min(...chain.map(s => Date.parse(s.born))) : now;
		const wide = windowOf(now - first), from = now - wide;
		const x = t => Math.max(0, (t - from) / wide) * (width - 2);
		const lanes = [];
		const bars = chain.map((s, n) => {
			const born = Date.parse(s.born), kind = kindOf(s, now), ended = lives(kind) ? now : Date.parse(s.ended);
			let lane = lanes.findIndex(free => free <= born);
			lane = lane < 0 ? lanes.length : lane;
			lanes[lane] = ended;
			const on = this.chosen === s.born + s.name;
			const at = {x: x(born).toFixed(1), y: lane * (row + gap) + 2, width: Math.max(3, x(ended) - x(born) - 1).toFixed(1), height: row, rx: 3};
			const bar = svg("rect", {...at, class: `bar why-${kind}${on ? " on" : ""}`});
			bar.dataset.n = n;
			return bar;
		});
		const height = Math.max(1, lanes.length) * (row + gap) + bottom;
		attribute(this.svg, "height", height);
		const marks = ticks(from, now, width).flatMap(t => {
			const at = x(t);
			const label = at > 20 && at < width - 20 ? [svg("text", {x: at, y: height - 5, class: "tick", "text-anchor": "middle"}, minute(t))] : [];
			return [svg("line", {x1: at, x2: at, y1: 0, y2: height - bottom, class: "grid"}), ...label];
		});
		this.svg.replaceChildren(...marks, ...bars);
		this.tell();
	}

	tell() {
		const {chain, now} = this;
		const chosen = chain.find(s => s.born + s.name === this.chosen);
		text(this.said, chosen ? describe(chosen, now) : this.next);
		const counts = new Map();
		for (const s of chain) {
			counts.set(kindOf(s, now), (counts.get(kindOf(s, now)) ?? 0) + 1);
		}
		const kinds = [...counts.keys()].sort((a, b) => order.indexOf(a) - order.indexOf(b));
		attribute(this.svg, "aria-label", `${many(chain.length, "session")} in the last hour: ${kinds.map(k => `${counts.get(k)} ${whys[k] ?? plain(k)}`).join(", ") || "none"}. ${chosen ? describe(chosen, now) : ""}`);
		keyed(this.legend, kinds, k => k,
			k => el("li", {}, el("i", {class: `key why-${k}`}), el("span")),
			(node, k) => text(node.lastChild, `${counts.get(k)} ${whys[k] ?? plain(k)}`));
		if (!this.table.open) {
			return;
		}
		keyed(this.body, [...chain].reverse(), s => s.born + s.name, () => el("tr", {}, ...Array.from({length: 7}, () => el("td"))), (node, s) => {
			const born = Date.parse(s.born), kind = kindOf(s, now), ended = lives(kind) ? now : Date.parse(s.ended);
			const cells = [s.name || "-", second(born), span(ended - born), s.role || "-", whys[kind] ?? plain(kind), count(s.sent_messages), count(s.received_messages)];
			cells.forEach((c, n) => text(node.children[n], c));
		});
	}
}
