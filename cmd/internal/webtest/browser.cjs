// Drives Debian's Chromium over the page: node browser.cjs SCENARIO ADDRESS FOLDER. It prints a line for each step that holds, and leaves
// screenshots in the folder. What doesn't hold ends it with 1.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const {chromium} = require("playwright-core");

const [scenario, address, folder] = process.argv.slice(2);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const wide = {width: 1280, height: 900}, phone = {width: 360, height: 740};

const step = text => console.log(`ok: ${text} (${Math.round(performance.now())} ms)`);

// open opens the page, and holds that it keeps to its own server, says nothing wrong, and is set no cookie.
async function open(browser, options) {
	const context = await browser.newContext({viewport: wide, bypassCSP: false, ...options});
	const page = await context.newPage();
	const token = new URLSearchParams(new URL(address).hash.slice(1)).get("token");
	const wrong = [];
	page.on("console", m => ["error", "warning"].includes(m.type()) && wrong.push(m.text()));
	page.on("pageerror", e => wrong.push(String(e)));
	page.on("request", r => {
		const u = new URL(r.url());
		if (u.origin !== new URL(address).origin || r.method() !== "GET" || u.pathname.concat(u.search).includes(token)) {
			wrong.push(`${r.method()} ${r.url()}`);
		}
	});
	await page.goto(address);
	page.check = async () => {
		assert.deepEqual(wrong, []);
		assert.deepEqual(await context.cookies(), []);
	};
	return page;
}

// look holds that what is on the screen is for everybody, in colour schemes and sizes, and keeps pictures of it.
async function look(page, name, schemes, sizes) {
	for (const colorScheme of schemes) {
		for (const [size, viewport] of Object.entries(sizes)) {
			await page.emulateMedia({colorScheme});
			await page.setViewportSize(viewport);
			await page.waitForFunction(w => document.querySelector("#link-plot svg").clientWidth < w, viewport.width);
			await page.waitForResponse(r => r.url().includes("/v1/view"));
			const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
			assert.ok(over <= 0, `${name}, ${colorScheme}, ${size}: ${over} pixels too wide`);
			await page.screenshot({path: path.join(folder, `${name}-${colorScheme}-${size}.png`), fullPage: true});
			const session = await page.context().newCDPSession(page); // past the page's own policy, which lets no stranger's script in
			const run = async expression => {
				const r = await session.send("Runtime.evaluate", {expression, awaitPromise: true, returnByValue: true});
				assert.equal(r.exceptionDetails, undefined, JSON.stringify(r.exceptionDetails));
				return r.result.value;
			};
			await run(axe);
			const found = JSON.parse(await run("axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))"));
			assert.deepEqual(found.map(v => [v.id, v.help, v.nodes.map(n => [n.html, n.failureSummary])]), [], `${name}, ${colorScheme}, ${size}`);
			await session.detach();
		}
	}
	await page.setViewportSize(wide);
	step(`${name} is fit for everybody`);
}

const bars = page => page.locator("#timeline rect.bar").count();

// live is a tunnel with a peer with which packets pass and sessions are replaced, and one that is not there.
async function live(browser) {
	const page = await open(browser);
	await page.waitForFunction(() => /\d [kM]bit/.test(document.querySelector("#link-plot output.rx").textContent));
	step("throughput");
	await page.waitForFunction(() => /connection refused/.test(document.querySelector("#list [data-state=silent] .verdict")?.textContent));
	step("a peer that does not answer, and why");
	await page.locator("#list").focus();
	await page.keyboard.press("Home");
	await page.waitForFunction(() => /\d [kM]bit/.test(document.querySelector("#peer-plot output.tx").textContent));
	step("the throughput of a peer");
	const before = await bars(page);
	await page.waitForFunction(n => document.querySelectorAll("#timeline rect.bar").length > n, before);
	step("a rekey as it happens");
	await page.waitForFunction(() => document.querySelector("#timeline rect.why-replaced") && document.querySelector("#timeline rect.why-alive"));
	step("a session that was replaced");
	await page.waitForFunction(() => document.querySelector("#link-plot path.line.rx")?.getAttribute("d").includes("V"));
	step("the plot has points");

	await page.locator("#link-plot svg").focus();
	await page.keyboard.press("ArrowLeft");
	assert.match(await page.locator("#link-plot svg").getAttribute("aria-label"), /^\d\d:\d\d:\d\d: received \d/);
	assert.match(await page.locator("#link-plot .when").textContent(), /^at /);
	await page.locator("#timeline svg").focus();
	await page.keyboard.press("Home");
	await page.waitForFunction(() => /replaced by a newer session · .* received/.test(document.querySelector(".said").textContent));
	await page.locator("#timeline summary").focus();
	await page.keyboard.press("Enter");
	await page.waitForFunction(() => document.querySelectorAll("#timeline tbody tr").length >= 2);
	await page.keyboard.press("Enter");
	step("the keyboard reads plots and sessions");

	await page.waitForFunction(() => /no peer/.test(document.querySelector("#link-drops")?.textContent));
	step("drops by reason");
	await look(page, "live", ["light", "dark"], {wide, phone});
	await page.check();
}

// many is an interface with 10,000 peers, all of which talk.
async function many(browser) {
	const page = await open(browser);
	await page.waitForFunction(() => document.querySelectorAll("#list [role=option]").length > 10 && /10,000 up/.test(document.querySelector("#counts").textContent));
	await page.waitForFunction(() => /\d Mbit/.test(document.querySelector("#link-plot output.rx").textContent));
	step("what passes now");
	const list = page.locator("#list");
	await list.focus();
	await page.keyboard.press("End");
	await page.waitForFunction(() => document.querySelector("#list [aria-selected=true]")?.getAttribute("aria-posinset") === "10000");
	await page.waitForFunction(() => document.querySelectorAll("#timeline rect.bar").length > 0);
	assert.equal(await list.getAttribute("aria-activedescendant"), await page.locator("#list [aria-selected=true]").getAttribute("id"));
	step("the last of them by keyboard");
	await page.keyboard.press("/"); // from anywhere
	await page.keyboard.type("peer 01234");
	await page.waitForFunction(() => document.querySelectorAll("#list [role=option]").length === 1);
	await page.locator("#list [role=option]").click();
	await page.waitForFunction(() => document.querySelector("#peer-name").textContent === "peer 01234");
	step("one of them by its name");
	await page.locator("#filter").fill("");
	await page.selectOption("#sort", "total");
	await page.waitForFunction(() => document.querySelectorAll("#list [role=option]").length > 10);
	for (let n = 0; n < 50; n++) { // through all of them
		await list.evaluate((node, part) => { node.scrollTop = part * node.scrollHeight; }, n / 50);
		await page.waitForFunction(part => {
			const node = document.querySelector("#list"), first = Number(node.querySelector("[role=option]")?.getAttribute("aria-posinset"));
			return Math.abs(first - part * 10000) < 60;
		}, n / 50);
	}
	step("all of them passed by");
	const session = await page.context().newCDPSession(page);
	await session.send("Performance.enable");
	await session.send("HeapProfiler.collectGarbage");
	const figures = Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(m => [m.name, m.value]));
	console.log(`figures: heap ${(figures.JSHeapUsedSize / 1e6).toFixed(1)} of ${(figures.JSHeapTotalSize / 1e6).toFixed(1)} MB, ${figures.Nodes} nodes, ` +
		`${figures.TaskDuration.toFixed(2)} s of tasks`);
	assert.ok(figures.JSHeapTotalSize < 50e6, "the page takes 50 MB");
	assert.ok(await page.locator("*").count() < 1500, "the page grows with the number of peers");
	step("it stays small");
	await look(page, "many", ["light"], {wide});
	await page.check();
}

// strangers are other sites in the same browser, one of which has made its name lead here.
async function strangers(browser) {
	const target = new URL(address);
	const token = new URLSearchParams(target.hash.slice(1)).get("token");
	const page = await (await browser.newContext()).newPage();
	const rebound = await page.goto(`http://evil.test:${target.port}/${target.hash}`);
	assert.equal(rebound.status(), 421);
	step("a name that was made to lead here");

	const server = http.createServer((_, r) => r.setHeader("Content-Type", "text/html").end("<!doctype html><title>another site</title>"));
	await new Promise(listening => server.listen(0, "127.0.0.1", listening));
	for (const name of ["evil.test", "127.0.0.1", "localhost"]) { // to the browser the last two are the same site
		await page.goto(`http://${name}:${server.address().port}/`);
		const got = await page.evaluate(async ([origin, token]) => {
			const attempt = async options => fetch(`${origin}/v1/view`, options).then(r => `${r.type} ${r.status}`, () => "refused");
			const load = (tag, attributes) => new Promise(told => {
				const node = Object.assign(document.createElement(tag), attributes, {onload: () => told("loaded"), onerror: () => told("refused")});
				document.head.append(node);
			});
			return {
				bare: await attempt({}),
				withToken: await attempt({headers: {Authorization: `Bearer ${token}`}}),
				opaque: await attempt({mode: "no-cors"}),
				script: await load("script", {src: `${origin}/words.js`, type: "text/javascript"}),
				style: await load("link", {rel: "stylesheet", href: `${origin}/page.css`}),
				image: await load("img", {src: `${origin}/icon.svg`}),
			};
		}, [target.origin, token]);
		for (const [what, outcome] of Object.entries(got)) {
			assert.equal(outcome, "refused", `${name}: ${what}`);
		}
		const framed = page.waitForEvent("requestfailed", r => r.url().startsWith(`${target.origin}/`));
		await page.evaluate(src => document.body.append(Object.assign(document.createElement("iframe"), {src})), address);
		assert.equal((await framed).failure().errorText, "net::ERR_BLOCKED_BY_RESPONSE", `${name}: a frame`);
		step(`another site at ${name}`);
	}
	server.close();
}

(async () => {
	const browser = await chromium.launch({
		executablePath: "/usr/bin/chromium",
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
			"--disable-sync", "--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"],
	});
	try {
		await {live, many, strangers}[scenario](browser);
	} finally {
		await browser.close();
	}
	console.log("all holds");
})().catch(e => {
	console.log(`failed: ${e.stack}`);
	process.exitCode = 1;
});
