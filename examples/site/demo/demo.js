// The demonstration of Caddyfile.example: it fetches resources, asks for them again, and draws what each visit took.
import {changed, letGo, purgeMemory, readCounts, readMemory, resources, visit} from './visits.js';
import {drawHistory, drawMemory, drawRows, drawTiles, say} from './draw.js';

const rows = resources.map((resource) => ({resource, tag: '', first: null, latest: null}));
const history = [];
let busy = false;

const remembering = document.getElementById('remember');

// visitAll asks for everything once, one after the other so that times do not depend on each other, and notes what the
// upstream was asked meanwhile: it says so itself.
async function visitAll(label, again) {
	const total = {label, requests: 0, asked: 0};
	const before = await readCounts();
	for (const row of rows) {
		row.latest = await visit(row, again, remembering.checked);
		row.first = again ? row.first : row.latest;
	}
	const after = await readCounts();
	for (const {resource, latest} of rows) {
		const name = resource.path.split('/').pop();
		latest.asked = (after[name] ?? 0) - (before[name] ?? 0);
		total.requests += latest.status ? 1 : 0;
		total.asked += latest.asked;
	}
	history.push(total);
	drawRows(rows);
	drawTiles(rows);
	drawHistory(history);
	drawMemory(await readMemory());
	sum(total);
}

function sum(total) {
	const statuses = rows.map((row) => row.latest.status);
	const count = (status) => statuses.filter((one) => one === status).length;
	const others = [count(206) ? `, 206 for ${count(206)}` : '', count(0) ? `, ${count(0)} from the browser's cache` : ''].join('');
	say(`Visit ${history.length} (${total.label}): 200 for ${count(200)}, 304 for ${count(304)}${others}. The upstream was asked ${total.asked} times.`);
}

async function startOver() {
	rows.forEach(letGo);
	await visitAll(remembering.checked ? 'first, remember' : 'first', false);
	await visitAll('again', true);
}

async function change(row) {
	await changed(row.resource);
	await visitAll(`${row.resource.short} changed`, true);
	if (row.latest.memory === 'hit') {
		say(`The ${row.resource.short} has changed, and the memory does not know: for a minute, which is its ttl, or until you purge it.`);
	}
}

async function purge() {
	await purgeMemory();
	await visitAll('purged', true);
}

// alone does one thing at a time. Controls are not disabled meanwhile: they would lose the focus of the keyboard.
async function alone(action, ...args) {
	if (busy) {
		return;
	}
	busy = true;
	document.body.setAttribute('aria-busy', 'true');
	try {
		await action(...args);
	} catch (error) {
		say(`It did not work: ${error.message}.`);
	}
	busy = false;
	document.body.setAttribute('aria-busy', 'false');
}

document.getElementById('again').addEventListener('click', () => alone(visitAll, 'again', true));
document.getElementById('over').addEventListener('click', () => alone(startOver));
document.getElementById('purge').addEventListener('click', () => alone(purge));
document.getElementById('rows').addEventListener('click', (event) => {
	const button = event.target.closest('button');
	if (button) {
		alone(change, rows[button.dataset.row]);
	}
});
remembering.addEventListener('click', (event) => {
	if (busy) {
		event.preventDefault(); // it stays as it is until this visit has ended
		return;
	}
	alone(startOver);
});

remembering.checked = false; // browsers keep it over a reload
alone(startOver);
