// Throughput over the last hour: what was received above the line, what was sent below.
import {attribute, el, svg, text, ticks, windowOf} from "./dom.js";
import {minute, rate, second} from "./words.js";

// nice rounds a rate in bytes a second up, to 1, 2 or 5 of some power of ten bits.
function nice(bytes) {
	const bits = Math.max(bytes * 8, 1000);
	const power = 10 ** Math.floor(Math.log10(bits));
	return [1, 2, 5, 10].find(n => n * power >= bits * 0.999) * power / 8;
}

export class Plot {
	constructor(parent, name, height) {
		this.name = name;
		this.height = height;
		this.cursor = null; // the step that is read, null: now
		this.rx = el("output", {class: "rx"});
		this.tx = el("output", {class: "tx"});
		this.when = el("span", {class: "when"});
		this.svg = svg("svg", {role: "img", tabindex: "0", class: "plot", height});
		parent.append(el("div", {class: "legend"},
			el("span", {}, el("i", {class: "key rx"}), "received ", this.rx),
			el("span", {}, el("i", {class: "key tx"}), "sent ", this.tx), this.when), this.svg);
		new ResizeObserver(() => this.draw()).observe(this.svg);
		this.svg.addEventListener("pointermove", e => this.point(e.offsetX));
		this.svg.addEventListener("pointerleave", () => this.read(null));
		this.svg.addEventListener("blur", () => this.read(null));
		this.svg.addEventListener("keydown", e => this.key(e));
	}

	update(plot, rx, tx) {
		Object.assign(this, {plot, now: [rx ?? 0, tx ?? 0]});
		this.draw();
	}

	point(x) {
		if (this.scale) {
			this.read(Math.floor((this.scale.time(x) - this.scale.begin) / this.scale.step));
		}
	}

	key(e) {
		const last = (this.plot?.rx.length ?? 0) - 1;
		const to = {ArrowLeft: (this.cursor ?? last + 1) - 1, ArrowRight: (this.cursor ?? last) + 1, Home: 0, End: last, Escape: null}[e.key];
		if (to !== undefined) {
			e.preventDefault();
			this.read(to);
		}
	}

	read(n) {
		this.cursor = n === null || !this.plot || n < 0 || n >= this.plot.rx.length ? null : n;
		this.draw();
	}

	draw() {
		const width = this.svg.clientWidth;
		if (!this.plot || width === 0 || document.hidden) {
			return;
		}
		const {rx, tx} = this.plot, step = this.plot.step * 1000, end = Date.parse(this.plot.ends);
		const from = Date.parse(this.plot.from), begin = Date.parse(this.plot.begin), span = windowOf(end - from);
		const left = 4, right = 4, bottom = 20, height = this.height - bottom, middle = height / 2;
		const across = width - left - right;
		const x = t => left + (t - (end - span)) / span * across;
		const top = nice(rx.concat(tx).reduce((most, v) => Math.max(most, v), 0));
		const y = (v, sign) => middle - sign * v / top * (middle - 12);
		this.scale = {begin, step, time: at => end - span + (at - left) / across * span};
		const part = (values, sign) => {
			const left = n => x(Math.max(begin + n * step, from, end - span)).toFixed(1);
			const right = n => x(Math.min(begin + (n + 1) * step, end)).toFixed(1);
			const line = values.map((v, n) => `${n ? "V" : `M${left(n)} `}${y(v, sign).toFixed(1)}H${right(n)}`).join("");
			const area = values.length ? `${line}V${middle}H${left(0)}Z` : "";
			const c = sign > 0 ? "rx" : "tx";
			return [svg("path", {d: area, class: `area ${c}`}), svg("path", {d: line, class: `line ${c}`})];
		};
		const parts = [];
		for (const [v, sign] of [[top, 1], [top / 2, 1], [top / 2, -1], [top, -1]]) {
			parts.push(svg("line", {x1: left, x2: width - right, y1: y(v, sign), y2: y(v, sign), class: "grid"}));
		}
		for (const t of ticks(end - span, end, across)) {
			const at = x(t);
			parts.push(svg("line", {x1: at, x2: at, y1: 0, y2: height, class: "grid"}));
			if (at > 20 && at < width - 20) {
				parts.push(svg("text", {x: at, y: this.height - 5, class: "tick", "text-anchor": "middle"}, minute(t)));
			}
		}
		parts.push(...part(rx, 1), ...part(tx, -1), svg("line", {x1: left, x2: width - right, y1: middle, y2: middle, class: "axis"}));
		for (const sign of [1, -1]) {
			parts.push(svg("text", {x: left + 2, y: y(top, sign) + (sign > 0 ? -3 : 11), class: "tick halo"}, rate(top)));
		}
		if (this.cursor !== null) {
			const at = x(begin + (this.cursor + 0.5) * step);
			parts.push(svg("line", {x1: at, x2: at, y1: 0, y2: height, class: "cursor"}));
		}
		this.svg.replaceChildren(...parts);
		this.tell(rx, tx, begin, step);
	}

	tell(rx, tx, begin, step) {
		const read = this.cursor !== null;
		const [a, b] = read ? [rx[this.cursor], tx[this.cursor]] : this.now;
		text(this.rx, rate(a));
		text(this.tx, rate(b));
		text(this.when, read ? `at ${second(begin + this.cursor * step)}` : "now");
		const most = values => rate(values.reduce((m, v) => Math.max(m, v), 0));
		attribute(this.svg, "aria-label", read
			? `${second(begin + this.cursor * step)}: received ${rate(a)}, sent ${rate(b)}`
			: `Throughput of ${this.name} over the last hour: received ${rate(a)} now and ${most(rx)} at most, sent ${rate(b)} now and ${most(tx)} at most`);
	}
}
