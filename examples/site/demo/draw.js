// What the page shows. Numbers are also in data attributes, unrounded.

// sentences are those of docs/reasons.md.
const sentences = {
	no_condition: 'the request has no condition',
	if_none_match: 'If-None-Match names the current tag',
	none_matched: 'If-None-Match names other tags',
	no_store: 'no-store in the request, or in the response as it goes out',
	first_visit: 'the upstream has sent a tag, and the request has no condition',
	existing_tag: "the upstream's tag decides: the client names one of ours, or the upstream's is none that can be used",
	range: 'Range was answered',
	if_range: 'If-Range names another version',
	upstream: 'the upstream has answered by itself',
	remembered: 'from what is remembered; the upstream was not asked',
};

// element makes one; children are elements and texts.
function element(name, properties, ...children) {
	const made = document.createElement(name);
	const {data, style, ...others} = properties ?? {};
	Object.assign(made, others);
	Object.assign(made.dataset, data);
	for (const [property, value] of Object.entries(style ?? {})) {
		made.style.setProperty(property, value);
	}
	made.append(...children);
	return made;
}

function bytesText(bytes) {
	return bytes < 1000 ? `${bytes}\u00a0B` : `${(bytes / 1000).toFixed(1)}\u00a0kB`;
}

function timeText(time) {
	return `${time < 10 ? time.toFixed(1) : Math.round(time)}\u00a0ms`;
}

function bar(kind, value, most) {
	return element('span', {className: `bar ${kind}`, data: {value}, style: {'--part': most ? value / most : 0}});
}

// pair is the two bars of a measure and, in words, the two numbers.
function pair(label, first, latest, most, text) {
	return element('div', {className: 'measure', data: {measure: label, first, latest}},
		element('span', {className: 'label'}, label), `${text(first)} → `, element('b', {}, text(latest)), bar('first', first, most), bar('latest', latest, most));
}

function status(result) {
	return result.status ? String(result.status) : 'none';
}

function reason(result) {
	if (!result.status) {
		return 'the browser still has it, and may use it';
	}
	const because = result.reason.split(' ').pop();
	return sentences[because] ?? '';
}

function why(result) {
	const asked = result.asked ? 'the upstream was asked; ' : '';
	const memory = result.memory && result.memory !== 'hit' ? ` (memory: ${result.memory})` : '';
	const coding = result.coding ? ` (encode_once: ${result.coding})` : '';
	return element('div', {className: 'why', data: {asked: result.asked}},
		element('span', {className: 'label'}, 'why'), element('code', {}, result.reason + memory + coding), element('span', {className: 'quiet'}, asked + reason(result)));
}

// heads are not read out: each row says by itself what its numbers are.
function heads() {
	const words = [['what', ''], ['measure', 'status'], ['measure', 'bytes'], ['measure', 'time'], ['why', 'why']];
	return element('li', {className: 'heads', ariaHidden: 'true'}, ...words.map(([className, text]) => element('span', {className}, text)));
}

function most(rows, measure) {
	return Math.max(...rows.flatMap((row) => [row.first[measure], row.latest[measure]]));
}

// drawRows draws each resource. The button that was pressed keeps the focus.
export function drawRows(rows) {
	const focused = document.activeElement?.dataset?.row;
	const [bytes, time] = [most(rows, 'bytes'), most(rows, 'time')];
	const drawn = rows.map(({resource, first, latest}, index) => {
		const kind = latest.status === 200 ? 'whole' : 'spared';
		const row = element('li', {data: {path: resource.path, first: first.status, latest: latest.status}},
			element('div', {className: 'what'}, element('h3', {}, element('a', {href: resource.path}, resource.name)), element('span', {className: 'quiet'}, resource.what)),
			element('div', {className: 'measure'}, element('span', {className: 'label'}, 'status'), `${status(first)} → `, element('span', {className: `status ${kind}`}, status(latest))),
			pair('bytes', first.bytes, latest.bytes, bytes, bytesText),
			pair('time', first.time, latest.time, time, timeText),
			why(latest));
		if (resource.short) {
			row.append(element('button', {type: 'button', data: {row: index}, ariaLabel: `Change it: ${resource.short}`}, 'Change it'));
		}
		return row;
	});
	document.getElementById('rows').replaceChildren(heads(), ...drawn);
	document.querySelector(`[data-row="${focused}"]`)?.focus({preventScroll: true});
}

// drawTiles draws the sums.
export function drawTiles(rows) {
	const sum = (visit, value) => rows.reduce((total, row) => total + value(row[visit]), 0);
	const tiles = [
		['whole answers (200)', (result) => Number(result.status === 200), String],
		['bytes of content', (result) => result.bytes, bytesText],
		['time, one after the other', (result) => result.time, timeText],
		['upstream asked', (result) => result.asked, String],
	];
	document.getElementById('tiles').replaceChildren(...tiles.map(([label, value, text]) => {
		const [first, latest] = [sum('first', value), sum('latest', value)];
		const scale = Math.max(first, latest);
		return element('div', {className: 'tile', data: {tile: label, first, latest}},
			element('div', {className: 'quiet'}, label), element('b', {}, text(latest)), ' ', `of ${text(first)}`, bar('first', first, scale), bar('latest', latest, scale));
	}));
}

// drawHistory draws the latest visits.
export function drawHistory(visits) {
	const shown = matchMedia('(max-width: 52rem)').matches ? 5 : 12;
	document.getElementById('history').replaceChildren(...visits.slice(-shown).map((visit) =>
		element('li', {data: {requests: visit.requests, asked: visit.asked}},
			element('b', {}, `${visit.asked} of ${visit.requests}`),
			element('span', {className: 'column', style: {'--requests': visit.requests, '--asked-part': visit.asked / visit.requests}}),
			visit.label)));
}

export function drawMemory({stores}) {
	const sum = (name) => stores.reduce((total, store) => total + store[name], 0);
	document.getElementById('memory').textContent = `The memory holds ${sum('entries')} records, a few hundred bytes each and no content. It was looked into ${sum('hits') + sum('misses')} times, and knew the answer ${sum('hits')} times.`;
}

export function say(text) {
	document.getElementById('said').textContent = text;
}
