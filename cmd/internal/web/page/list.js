// The list of peers. Of however many, only the rows in sight are asked for, and are there.
import {$, attribute, el, keyed, text} from "./dom.js";
import {bytes, rate, span} from "./words.js";

const narrow = matchMedia("(max-width: 620px)");
const beyond = 10; // rows above and below those in sight
const tallest = () => narrow.matches ? 8 : 18; // rows

export class List {
	// choose is called with the key of a peer, look when other rows come into sight.
	constructor(choose, look) {
		Object.assign(this, {choose, look, rows: [], first: 0, total: 0, chosen: null, at: 0});
		this.box = $("list");
		this.space = el("div", {role: "none", class: "space"});
		this.box.append(this.space);
		this.box.addEventListener("scroll", () => {
			this.draw();
			const [first, end] = this.inSight();
			if (first < this.first || end > this.first + this.rows.length) {
				this.look();
			}
		}, {passive: true});
		this.box.addEventListener("click", e => {
			const row = e.target.closest("[role=option]");
			if (row) {
				this.choose(row.dataset.key);
			}
		});
		this.box.addEventListener("keydown", e => this.key(e));
		narrow.addEventListener("change", () => this.draw());
	}

	height() {
		return narrow.matches ? 66 : 46;
	}

	inSight() {
		const first = Math.floor(this.box.scrollTop / this.height());
		return [first, Math.min(this.total, first + Math.ceil(this.box.clientHeight / this.height()) + 1)];
	}

	// wanted is which rows to ask for.
	wanted() {
		const [first, end] = this.inSight();
		return {first: Math.max(0, first - beyond), count: Math.max(end - first, tallest()) + 2 * beyond};
	}

	key(e) {
		const step = {ArrowDown: 1, ArrowUp: -1, PageDown: tallest() - 1, PageUp: 1 - tallest(), Home: -Infinity, End: Infinity}[e.key];
		if (step === undefined || this.total === 0) {
			return;
		}
		e.preventDefault();
		const n = this.rows.findIndex(r => r.public_key === this.chosen);
		const from = n >= 0 ? this.first + n : this.chosen ? this.at : -1;
		this.at = Math.min(Math.max(from + step, 0), this.total - 1);
		this.pending = true; // until the row is there
		const h = this.height(), top = this.at * h;
		if (top < this.box.scrollTop) {
			this.box.scrollTop = top;
		} else if (top + h > this.box.scrollTop + this.box.clientHeight) {
			this.box.scrollTop = top + h - this.box.clientHeight;
		}
		this.settle();
	}

	// settle chooses the row that a key went to, once it is known which peer's it is.
	settle() {
		const row = this.pending && this.rows[this.at - this.first];
		if (row) {
			this.pending = false;
			this.choose(row.public_key);
		} else if (this.pending) {
			this.look();
		}
	}

	update(view, chosen, now) {
		Object.assign(this, {rows: view.peers, first: view.first, total: view.matched, chosen, now});
		this.draw();
		if (this.pending) {
			this.settle();
		}
	}

	draw() {
		const h = this.height();
		this.space.style.height = `${this.total * h}px`;
		this.box.style.height = `${Math.min(this.total, tallest()) * h}px`;
		this.box.hidden = this.total === 0;
		const [first, end] = this.inSight();
		const from = Math.max(first - beyond, this.first);
		const seen = this.rows.slice(from - this.first, Math.max(0, end + beyond - this.first));
		let n = from;
		keyed(this.space, seen, r => r.public_key, () => this.make(), (node, r) => this.show(node, r, n++, h));
		const active = seen.find(r => r.public_key === this.chosen);
		if (active) {
			attribute(this.box, "aria-activedescendant", `row-${active.public_key}`);
		} else {
			this.box.removeAttribute("aria-activedescendant");
		}
	}

	make() {
		return el("div", {role: "option", class: "row"}, el("span", {class: "who"}), el("span", {class: "verdict"}),
			el("span", {class: "now rx"}), el("span", {class: "now tx"}), el("span", {class: "sum"}), el("span", {class: "age"}));
	}

	show(node, r, n, h) {
		const [who, verdict, rx, tx, sum, age] = node.children;
		attribute(node, "id", `row-${r.public_key}`);
		attribute(node, "aria-selected", r.public_key === this.chosen);
		attribute(node, "aria-setsize", this.total);
		attribute(node, "aria-posinset", n + 1);
		attribute(node, "data-state", r.state);
		node.style.transform = `translateY(${n * h}px)`;
		text(who, r.name || r.public_key);
		who.classList.toggle("mono", !r.name);
		text(verdict, r.verdict);
		attribute(verdict, "title", r.verdict);
		text(rx, `↓ ${rate(r.rx_rate)}`);
		text(tx, `↑ ${rate(r.tx_rate)}`);
		text(sum, bytes(r.rx_bytes + r.tx_bytes));
		text(age, r.latest_handshake ? `${span(this.now - Date.parse(r.latest_handshake))} ago` : "no handshake");
	}
}
