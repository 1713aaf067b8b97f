// Small helpers: text is only ever set as text.

const drawing = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		node.setAttribute(name, value);
	}
	node.append(...children);
	return node;
}

export const $ = id => document.getElementById(id);
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(drawing, tag), attributes, children);

// text sets a node's text if it is another, so that what a reader has selected stays so.
export function text(node, value) {
	if (node.textContent !== value) {
		node.textContent = value;
	}
}

export function attribute(node, name, value) {
	if (node.getAttribute(name) !== String(value)) {
		node.setAttribute(name, value);
	}
}

// keyed makes the children of a parent those of a list, and keeps the nodes of those that were there.
export function keyed(parent, items, key, make, update) {
	const old = new Map([...parent.children].map(node => [node.dataset.key, node]));
	let next = parent.firstElementChild;
	for (const item of items) {
		const k = key(item);
		let node = old.get(k);
		if (node) {
			old.delete(k);
		} else {
			node = make(item);
			node.dataset.key = k;
		}
		update(node, item);
		if (node === next) {
			next = next.nextElementSibling;
		} else {
			parent.insertBefore(node, next);
		}
	}
	for (const node of old.values()) {
		node.remove();
	}
}

// windows are how much of the past a picture shows: the least that holds what is there.
export function windowOf(ms) {
	return [2, 5, 15, 30, 60].map(m => m * 60e3).find(w => ms <= w) ?? 3600e3;
}

// ticks are the round times within a picture, and far enough apart to be read.
export function ticks(from, to, width) {
	const most = Math.max(2, Math.floor(width / 90));
	const step = [1, 2, 5, 10, 15, 30, 60].map(m => m * 60e3).find(s => (to - from) / s <= most) ?? 3600e3;
	const all = [];
	for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
		all.push(t);
	}
	return all;
}
