// What is fetched, and how. No cookies are sent: those of other programs on localhost would make requests personal, and
// what is personal is not remembered.
export const resources = [
	{path: '/rendered.html', name: 'A rendered page', what: 'Made by templates for each request.'},
	{path: '/app/slow', short: 'slow page', name: 'A slow page', what: 'Its upstream takes 150 ms to make it.'},
	{path: '/app/chunked', short: 'page in pieces', name: 'A page in pieces', what: 'Chunked: nobody knows its length before its end.'},
	{path: '/app/data.json', short: 'JSON', name: 'JSON', what: 'The answer of an API.'},
	{path: '/app/form', short: 'form', name: 'A form', what: 'With a token against forgery, masked anew each time.'},
	{path: '/app/nonce', short: 'nonce page', name: 'A script with a nonce', what: 'The nonce is another one each time.'},
	{path: '/app/clock', short: 'clock', name: 'A clock', what: 'It does change each time, so it is sent each time.'},
	{path: '/app/account', short: 'account', name: 'An account', what: 'Its upstream says no-store, which is respected.'},
	{path: '/files/picture.png', short: 'picture', name: 'A picture', what: 'With a Last-Modified.'},
	{path: '/files/table.csv', short: 'table', name: 'A table', what: 'With a tag that its upstream sends but does not compare.'},
	{path: '/files/tune.wav', short: 'tune', name: 'A tune', what: 'The second time only its last 4,000 bytes are asked for.', range: 'bytes=-4000'},
	{path: '/assets/site.css', name: 'A stylesheet', what: 'Good for 30 days: the browser does not ask again.', fresh: true},
];

const plain = {credentials: 'omit', cache: 'no-store'};

// url is where a resource is: what is remembered is the same application under another path.
function url(resource, remember) {
	return remember ? resource.path.replace(/^\/app\//, '/remembered/') : resource.path;
}

// conditions are the request fields of a visit. The browser's own cache is left out of it, so that the status is that of the
// network, and it does not matter whether the developer tools have switched that cache off. Without a Cache-Control of ours
// the browser would send no-cache, as it does for Shift and reload.
function conditions(row) {
	const headers = {'Cache-Control': 'max-age=60'};
	if (row.resource.range && row.tag) {
		return {...headers, Range: row.resource.range, 'If-Range': row.tag};
	}
	return row.tag ? {...headers, 'If-None-Match': row.tag} : headers;
}

// visit asks for one resource, and says what came.
export async function visit(row, again, remember) {
	const place = new URL(url(row.resource, remember), location.href).href;
	const options = {...plain, headers: again ? conditions(row) : {}};
	if (row.resource.fresh) {
		Object.assign(options, {cache: again ? 'default' : 'reload', headers: {}});
	}
	performance.clearResourceTimings();
	const response = await fetch(place, options);
	const body = await response.arrayBuffer();
	const entry = await timing(place);
	if (response.status !== 206) {
		row.tag = response.headers.get('ETag') ?? '';
	}
	return result(response, body, entry);
}

// timing waits for what the browser has measured: it is there a moment after the response.
async function timing(place) {
	for (let tries = 0; tries < 2000; tries++) {
		const [entry] = performance.getEntriesByName(place, 'resource');
		if (entry) {
			return entry;
		}
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
	throw new Error(`the browser has not measured ${place}`);
}

// result is what a visit took. Status 0: the browser had it and did not ask.
function result(response, body, entry) {
	const time = entry.responseEnd - (entry.requestStart || entry.startTime);
	if (entry.transferSize === 0) {
		return {status: 0, bytes: 0, time, reason: '', memory: '', coding: ''};
	}
	const said = (name) => entry.serverTiming.find((one) => one.name === name)?.description ?? '';
	const bytes = response.status === 304 ? 0 : entry.encodedBodySize || body.byteLength;
	return {status: response.status, bytes, time, reason: said('cc'), memory: said('cc-mem'), coding: said('cc-enc')};
}

export function letGo(row) {
	Object.assign(row, {tag: '', first: null, latest: null});
}

// sent makes sure that something was done.
async function sent(path, options) {
	const response = await fetch(path, {...plain, ...options});
	if (!response.ok) {
		throw new Error(`${path} was answered with ${response.status}`);
	}
	return response;
}

// readCounts is how often the upstream was asked for each resource, by its own count.
export async function readCounts() {
	return (await sent('/upstream/counts')).json();
}

// readMemory is the status of Caddy's admin endpoint, of which the site proxies this and purging.
export async function readMemory() {
	return (await sent('/conditional_cache/')).json();
}

export function changed(resource) {
	return sent(`/upstream/change/${resource.path.split('/').pop()}`, {method: 'POST'});
}

export function purgeMemory() {
	return sent('/conditional_cache/purge', {method: 'POST', body: '{"all": true}'});
}
