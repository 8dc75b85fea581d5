package peers

import (
	"net/http"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// groupOfParts is the first group of the second page.
const groupOfParts = "Heads, parts, compression"

// rows are all scenarios.
var rows = []row{
	{
		name: "200 of 1 KiB", group: "Whole pages", page: "/length/1024",
		means:   "The price of one small answer that nobody has yet. A tag costs the directive one reading of the page.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 4 KiB", group: "Whole pages", page: "/length/4096", charted: true, short: true,
		means:   "A small page that the visitor does not have yet. What conditional_cache takes more than Caddy is what every first visit pays.",
		answers: with(proxied(whole, whole, whole), whole, remember),
	},
	{
		name: "200 of 16 KiB", group: "Whole pages", page: "/length/16384",
		means:   "The same for a usual page.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 64 KiB", group: "Whole pages", page: "/length/65536",
		means:   "The same for a long page.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 1 MiB", group: "Whole pages", page: "/length/1048576", charted: true,
		means:   "The page is buffered until its tag is known. Peak memory shows what buffering takes.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 16 MiB", group: "Whole pages", page: "/length/16777216", connections: 4, longer: 3,
		means:   "This is longer than what the directive buffers by default. It passes through, and should cost what Caddy costs.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 4 KiB, chunked", group: "Whole pages", page: "/chunked/4096",
		means:   "The upstream does not say how long the page is, as most templates do.",
		answers: without(proxied(whole, whole, whole), nginxStatic),
	},
	{
		name: "200 of 64 KiB, chunked", group: "Whole pages", page: "/chunked/65536",
		means:   "The same for a long page, which comes in many pieces.",
		answers: without(proxied(whole, whole, whole), nginxStatic),
	},
	{
		name: "200 of 4 KiB that caches may store", group: "Whole pages", page: "/stored/4096", short: true,
		means: "A first visit to a page with a lifetime. A cache that stores pages answers it without the upstream. " +
			"conditional_cache stores none: it asks. If most visitors are new and the pages are public, use such a cache.",
		answers: map[kind]answer{nginxCache: kept, varnish: kept, caddy: whole, remember: whole, cacheHandler: kept},
	},
	{
		name: "304 to the server's own tag, 4 KiB", group: "Not modified", page: "/length/4096", condition: byTag, charted: true, short: true,
		means: "A visitor comes back to a page without validators of its own. conditional_cache has given it a tag and answers 304. " +
			"The other proxies have none to give, and send the page again. The page is still rendered.",
		answers: proxied(unchanged, whole, unchanged),
	},
	{
		name: "304 to the server's own tag, 64 KiB", group: "Not modified", page: "/length/65536", condition: byTag, charted: true,
		means:   "The same for a long page: 64 KiB less for the network, each time.",
		answers: proxied(unchanged, whole, unchanged),
	},
	{
		name: "304 to the upstream's tag", group: "Not modified", page: "/etag/4096", condition: byTag, tag: rig.Tag(4096),
		means:   "The upstream has tags and compares them itself. The directive lets it, and should cost little.",
		answers: without(proxied(unchanged, unchanged, unchanged), nginxStatic),
	},
	{
		name: "304 by date", group: "Not modified", page: "/dated/4096", condition: byDate,
		means:   "The same for a page that has a date and no tag.",
		answers: proxied(unchanged, unchanged, unchanged),
	},
	{
		name: "304 from memory", group: "Not modified", page: "/stored/4096", condition: byTag, tag: rig.Tag(4096), charted: true, short: true,
		means:   "A visitor comes back to a page with a lifetime. Whoever remembers it answers without the upstream; the column \"asked\" shows who does.",
		answers: fromMemory(confirmed, unchanged),
	},
	{
		name: "304 from memory, without the upstream's tag", group: "Not modified", page: "/public/4096", condition: byTag, short: true,
		means: "The same for a page without validators, as most applications make them. " +
			"`remember` knows the tag that it has made itself. Caches of pages have the page, but no tag for it: they send it whole.",
		answers: map[kind]answer{nginxCache: kept, varnish: kept, caddy: whole, directive: unchanged, remember: confirmed, cacheHandler: kept},
	},
	{
		name: "HEAD", group: groupOfParts, page: "/length/4096", method: http.MethodHead, tool: h2,
		means:   "What monitors and link checkers ask. It goes over HTTP/2, as wrk and h2load cannot ask it over HTTP/1.1.",
		answers: without(proxied(whole, whole, whole), varnish),
	},
	{
		name: "a range, which the upstream can cut", group: groupOfParts, page: "/etag/65536", fields: []string{rangeField},
		means:   "A player or a download asks for 1,000 bytes of 64 KiB.",
		answers: without(proxied(part, part, part), nginxStatic),
	},
	{
		name: "a range, which the upstream cannot cut", group: groupOfParts, page: "/length/65536", fields: []string{rangeField}, short: true,
		means:   "The same before an upstream that ignores Range. A proxy sends the whole: a broken download begins anew. The directive cuts the part.",
		answers: with(proxied(part, whole, part), part, varnish),
	},
	{
		name: "200 of 64 KiB, with gzip", group: groupOfParts, page: "/text/65536", fields: []string{"Accept-Encoding: gzip"}, charted: true,
		means: "Level 5 everywhere. Compare it with the row without gzip: the difference is what compression costs, beside which a tag is to be seen. " +
			"`encode_once` compresses the page once for its content, and asks the upstream each time as the others do.",
		answers: with(proxied(coded, coded, coded), coded, encodeOnce),
	},
	{
		name: "200 of 4 KiB, 100 connections", group: "Many connections", page: "/length/4096", connections: 100,
		means:   "More visitors at one time. p99 says how long the slowest of a hundred waits.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 4 KiB, 1,000 connections", group: "Many connections", page: "/length/4096", connections: 1000, longer: 3,
		means:   "A rush. Peak memory says what a connection takes.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "200 of 4 KiB, HTTP/1.1 over TLS", group: "TLS and HTTP/2", page: "/length/4096", tool: h1,
		means:   "As the first rows, encrypted. Varnish needs another program for TLS and does not take part.",
		answers: without(proxied(whole, whole, whole), varnish),
	},
	{
		name: "200 of 4 KiB, HTTP/2", group: "TLS and HTTP/2", page: "/length/4096", tool: h2, charted: true, short: true,
		means:   "What browsers use.",
		answers: without(proxied(whole, whole, whole), varnish),
	},
	{
		name: "304 from memory, HTTP/2", group: "TLS and HTTP/2", page: "/stored/4096", condition: byTag, tag: rig.Tag(4096), tool: h2,
		means:   "A browser comes back.",
		answers: without(fromMemory(confirmed, unchanged), varnish),
	},
	{
		name: "200 of 4 KiB, 2 CPUs", group: "Two CPUs", page: "/length/4096", cpus: 2,
		means: "GOMAXPROCS 2 for Caddy, worker_processes 2 for nginx; Varnish is as it is in all rows. " +
			"Where the machine has two CPUs, the load and the upstream take from both.",
		answers: proxied(whole, whole, whole),
	},
	{
		name: "304 to the server's own tag, 4 KiB, 2 CPUs", group: "Two CPUs", page: "/length/4096", condition: byTag, cpus: 2,
		means:   "The same for those who come back.",
		answers: proxied(unchanged, whole, unchanged),
	},
}

// fromMemory are the answers where a page has the upstream's tag and a lifetime: those of who remembers it, and those of
// who asks.
func fromMemory(remembered, asked answer) map[kind]answer {
	return map[kind]answer{
		nginxProxy: asked, nginxCache: remembered, varnish: remembered, caddy: asked, directive: asked, remember: remembered,
		cacheHandler: remembered,
	}
}
