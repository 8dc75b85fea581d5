package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/soak/truth"
)

// styles are what pages are like, by name.
var styles = styleTable(
	truth.Style{Name: "plain"},
	truth.Style{Name: "dated", Dated: true},
	truth.Style{Name: "tagged", Tagged: true, Dated: true, Cache: "max-age=60"},
	truth.Style{Name: "weak", Tagged: true, Weak: true},
	truth.Style{Name: "chunked", Chunked: true},
	truth.Style{Name: "hints", Hints: true, Dated: true},
	truth.Style{Name: "long", Long: true},
	truth.Style{Name: "archive", Long: true, Tagged: true, Dated: true},
	truth.Style{Name: "asset", Tagged: true, Cache: "public, max-age=60"},
	truth.Style{Name: "own", Personal: true, Cache: "private"},
	truth.Style{Name: "varies", Personal: true, Vary: "Cookie"},
	// One date for what all users are sent, and nothing that says so.
	truth.Style{Name: "careless", Personal: true, Dated: true},
	truth.Style{Name: "form", Personal: true, Form: true, Vary: "Cookie"},
	truth.Style{Name: "edited", Edited: true},
	truth.Style{Name: "versioned", Edited: true, Dated: true},
	truth.Style{Name: "file", Dated: true},
	truth.Style{Name: "template", Template: true},
)

func styleTable(all ...truth.Style) map[string]*truth.Style {
	table := make(map[string]*truth.Style)
	for _, style := range all {
		table[style.Name] = &style
	}
	return table
}

// pagesOfStyle is how many places of each style a site has.
const pagesOfStyle = 3

// late is how much later than promised an answer from memory may be: what was read from the upstream may take a while to
// come, and its time counts from then.
const late = 3 * time.Second

// site is a host of the Caddy under test.
type site struct {
	truth.Site
	styles string
	// outside are directives outside the handler. They may not change the handler's place.
	outside string
	// variants are what is in front of the upstream, one after another with each load.
	variants []string
	// wild: its pages are changed without a purge as well.
	wild bool
	// store is where it remembers; empty: nowhere.
	store string
	// share is how often it is asked, by that of others; 0 is 1.
	share int

	places []*truth.Place
	origin *origin
	root   string // of the files, if it has those instead of an upstream
}

// remember60s is the window of sites that remember for a minute.
const remember60s = time.Minute + late

// allSites are the configurations that are under test at the same time.
func allSites() []*site {
	return []*site{
		{Site: truth.Site{Name: "bare"}, styles: "plain dated tagged weak chunked hints own careless edited long", wild: true, variants: []string{
			"conditional_cache", "conditional_cache {\n etag auto {\n hash sha256\n }\n last_modified normalize {\n lenient\n }\n}",
		}},
		{Site: truth.Site{Name: "memory", Window: remember60s}, styles: "plain dated tagged chunked asset own varies careless edited", share: 3, store: "memory", variants: []string{
			"conditional_cache {\n remember 60s\n}", "conditional_cache {\n remember 60s\n}", "conditional_cache {\n remember 60s\n head get\n content_location\n}",
		}},
		{Site: truth.Site{Name: "shortly", Window: 5*time.Second + late}, styles: "plain dated tagged asset", wild: true, share: 2, variants: []string{
			"conditional_cache {\n remember 2s {\n grace 1s\n stale_if_error 3s\n }\n}", "conditional_cache {\n remember 2s\n}",
		}},
		{Site: truth.Site{Name: "redis", Window: remember60s}, styles: "plain dated tagged varies asset careless", share: 3, store: "redis", variants: []string{
			"conditional_cache {\n remember 60s {\n store redis {\n address {redis}\n timeout 500ms\n }\n }\n}",
		}},
		{Site: truth.Site{Name: "guard", Strong: true}, styles: "edited edited versioned", share: 2, variants: []string{
			"conditional_cache {\n etag strong\n guard_writes {\n require\n }\n}", "conditional_cache {\n etag strong\n guard_writes {\n require\n }\n cache_control no-cache\n}",
		}},
		{Site: truth.Site{Name: "ranges"}, styles: "plain dated tagged long archive", wild: true, variants: []string{
			"conditional_cache {\n ranges stream\n head get\n buffer {\n max_body 64KiB\n }\n}", "conditional_cache {\n etag strong\n ranges on\n}",
		}},
		{Site: truth.Site{Name: "coded"}, styles: "plain dated tagged chunked archive", wild: true, outside: "encode gzip", variants: []string{
			"conditional_cache", "conditional_cache {\n etag strong\n}", "conditional_cache {\n etag auto {\n existing replace\n }\n}",
		}},
		{Site: truth.Site{Name: "nested", Window: remember60s}, styles: "plain dated own varies tagged", share: 2, store: "memory", variants: []string{
			"conditional_cache {\n remember 60s\n}\nroute {\n conditional_cache {\n etag strong\n head get\n }\n {proxy}\n}",
			"conditional_cache {\n remember 60s\n}\nroute {\n conditional_cache {\n etag strong\n }\n {proxy}\n}",
		}},
		{Site: truth.Site{Name: "forms", Window: remember60s}, styles: "form form own", store: "memory", variants: []string{
			"conditional_cache {\n etag weak {\n ignore csrf nonce\n }\n remember 60s\n}",
		}},
		{Site: truth.Site{Name: "rows"}, styles: "plain dated asset own careless", wild: true, variants: []string{
			"conditional_cache {\n cache_control /plain/* public max-age=60 {\n existing replace\n }\n cache_control text/html private max-age=60 {\n existing merge\n jitter 10%\n }\n}",
			"conditional_cache 1m\n", "conditional_cache {\n expires modified 1h\n cache_control /plain/* no-cache\n}",
		}},
		{Site: truth.Site{Name: "files"}, styles: "file template", wild: true, outside: "root {root}", variants: []string{
			"conditional_cache\ntemplates\nfile_server", "conditional_cache {\n head get\n etag auto {\n existing replace\n }\n}\ntemplates\nfile_server",
		}},
	}
}

// furnish gives a site its places.
func (s *site) furnish(now time.Time) {
	counts := make(map[string]int)
	for name := range strings.FieldsSeq(s.styles) {
		style := styles[name]
		for range pagesOfStyle {
			path := fmt.Sprintf("/%s/%d", name, counts[name])
			switch counts[name]++; {
			case name == "file":
				path += ".txt"
			case style.Template:
				path += ".html"
			}
			s.places = append(s.places, truth.NewPlace(&s.Site, path, style, now))
		}
	}
}

// host is the name of a site.
func (s *site) host() string { return s.Name + "." + domain }

const domain = "soak.test"

// block is its part of the Caddyfile, the n-th time that it is loaded.
func (s *site) block(n int, set *settings) string {
	directives := s.variants[n%len(s.variants)]
	if s.origin != nil && !strings.Contains(directives, "{proxy}") {
		directives += "\n{proxy}"
	}
	proxy := ""
	if s.origin != nil {
		proxy = fmt.Sprintf(proxies, s.origin.addr)
	}
	return strings.NewReplacer("{proxy}", proxy, "{redis}", set.redis, "{root}", s.root).Replace(fmt.Sprintf(
		"https://%s:%d {\n bind 127.0.0.1\n tls %s %s\n header >%s \"{http.conditional_cache.outcome} {http.conditional_cache.reason}\"\n %s\n %s\n}\n",
		s.host(), set.port, set.certificate, set.key, truth.ByField, s.outside, directives))
}

// proxies keep unused connections for less than their default of two minutes, which with a load each second are thousands. Of
// HTTP/3 a little content is read before the upstream is asked. Where the end of a request without content comes
// late, reverse_proxy of Caddy v2.11.9 writes its trailers while net/http reads them. A machine with more to do may take seconds
// to connect.
const proxies = `@http3 protocol http/3
 reverse_proxy @http3 %[1]s {
  request_buffers 1KiB
  transport http {
   keepalive 5s
   dial_timeout 30s
  }
 }
 reverse_proxy %[1]s {
  transport http {
   keepalive 5s
   dial_timeout 30s
  }
 }`

// settings are where things are.
type settings struct {
	folder           string
	port, admin      int
	certificate, key string
	redis            string // address
	maxTotal         []string
	stores           []string
}

// store is the size of the memory store in the n-th configuration. One of another size is another store.
func (s *settings) store(n int) string { return s.stores[n%len(s.stores)] }

// caddyfile is the n-th configuration.
func caddyfile(n int, set *settings, sites []*site) string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin 127.0.0.1:%d
	persist_config off
	auto_https off
	grace_period 3s
	log {
		output file %s/log
		level WARN
	}
	conditional_cache {
		max_total %s
		store memory {
			max_entries %s
		}
	}
}
`, set.admin, set.folder, set.maxTotal[n%len(set.maxTotal)], set.store(n))
	for _, s := range sites {
		text.WriteString(s.block(n, set))
	}
	return text.String()
}
