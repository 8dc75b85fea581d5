package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const ignoringForms = "etag auto {\nignore csrf\n}"

// asksUpstream runs f, in which the upstream is to be asked n times.
func (s *scripted) asksUpstream(t *testing.T, n int64, f func()) {
	t.Helper()
	before := s.asked.Load()
	f()
	if got := s.asked.Load() - before; got != n {
		t.Errorf("the upstream was asked %d times, want %d", got, n)
	}
}

// policed is an upstream with one tag and another nonce each time; own: it makes its 304s itself.
func policed(own bool) func(*scripted) http.HandlerFunc {
	return func(s *scripted) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n := s.asked.Load()
			w.Header().Set("Etag", `W/"9b4e"`)
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Add("Content-Security-Policy", "default-src 'self'")
			w.Header().Add("Content-Security-Policy", fmt.Sprintf("script-src 'nonce-%d'", n))
			if own && r.Header.Get("If-None-Match") == `W/"9b4e"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = fmt.Fprintf(w, "<script nonce=%d></script>", n)
		}
	}
}

// noNonce: a 304 without the policy, or a whole page with that of its own.
func noNonce(t *testing.T, c *client, _ *scripted) {
	t.Helper()
	first := wants(t, c, http.StatusOK, nil, "Content-Security-Policy", "*")
	for range 2 {
		got, err := c.write(t.Context(), http.MethodGet, "/", "", byTag("If-None-Match", first)...)
		switch policy := got.header.Values("Content-Security-Policy"); {
		case err != nil:
			t.Fatal(err)
		case got.status == http.StatusNotModified && policy != nil:
			t.Errorf("the 304 has %q", policy)
		case got.status == http.StatusOK && !strings.Contains(policy[1], strings.TrimSuffix(strings.TrimPrefix(got.body, "<script nonce="), "></script>")):
			t.Errorf("the page %s has %q", got.body, policy)
		}
	}
}

var policySites = []string{
	reportBare, reportCoded, reportMemory, configured("etag auto {\nignore nonce\n}"),
	configured("not_modified {\nkeep Content-Security-Policy\n}\nremember 10m"), configured("etag auto {\nexisting replace\nignore nonce\n}"),
}

// learns: without any whole answer, one revalidation is enough.
func learns(t *testing.T, c *client, s *scripted) {
	t.Helper()
	s.asksUpstream(t, 1, func() {
		for range 4 {
			wants(t, c, http.StatusNotModified, []string{"If-None-Match", `"v"`}, "Etag", `"v"`)
		}
	})
}

var reportsOfPages = []report{
	{id: "B29 own 304", upstream: policed(true), sites: policySites, check: noNonce},
	{id: "B29", upstream: policed(false), sites: policySites, check: noNonce},
	{
		id: "B30", sites: []string{configured(ignoringForms), "encode gzip\n" + configured(ignoringForms)}, check: sameWhileSession,
		upstream: pagesOf(func(s *scripted) string {
			return `<body hx-headers='{"X-CSRFToken": "` + masked(secretOf(s)) + `"}'><p>text</body>`
		}),
	},
	{
		id: "B31", sites: []string{configured(ignoringForms), "encode gzip\n" + configured(ignoringForms)}, check: sameWhileSession,
		upstream: pagesOf(func(s *scripted) string {
			return `<form><input type="hidden" id="form__token" name="form[_token]" value="` + symfonyToken(secretOf(s)) + `" /></form>`
		}),
	},
	{
		id: "B32", sites: []string{configured("cache_control text/html private no-cache {\nexisting replace\n}")},
		upstream: pagesOf(func(*scripted) string { return textOf(1) }, "Cache-Control", "no-cache, no-store", "Pragma", "no-cache", "Expires", "Thu, 19 Nov 1981 08:52:00 GMT"),
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			first := wants(t, c, http.StatusOK, nil, "Cache-Control", "private, no-cache", "Etag", "*")
			wants(t, c, http.StatusNotModified, byTag("If-None-Match", first), "Cache-Control", "private, no-cache", "Etag", "*")
		},
	},
	{
		id: "B33", sites: []string{configured("cache_control max-age=10m {\nexisting merge\n}"), configured("cache_control max-age=10m {\nexisting replace\n}")},
		upstream: pagesOf(func(*scripted) string { return "text" }, "Cache-Control", "max-age=60, public, s-maxage=31536000", "Cache-Control", "max-age=0"),
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			want := "max-age=600"
			if strings.Contains(s.site, "merge") {
				want = "public, max-age=0, s-maxage=600"
			}
			first := wants(t, c, http.StatusOK, nil, "Cache-Control", want)
			wants(t, c, http.StatusNotModified, byTag("If-None-Match", first), "Cache-Control", want)
		},
	},
	{
		id: "B34", sites: []string{configured("cache_control /* max-age=60 {\nexisting replace\n}"), reportMemory, configured("etag auto {\nexisting replace\n}")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"s1"`)
				if r.Header.Get("If-None-Match") == `"s1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("Cache-Control", "max-age=60")
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			first := wants(t, c, http.StatusOK, nil, "Cache-Control", "max-age=60")
			wants(t, c, http.StatusNotModified, byTag("If-None-Match", first), "Cache-Control", "max-age=60")
		},
	},
	{
		id: "B35 dumb", sites: []string{reportMemory, configured("remember")}, check: learns,
		upstream: pagesOf(func(*scripted) string { return "text" }, "Etag", `"v"`, "Cache-Control", "public, max-age=600"),
	},
	{
		id: "B35 own 304", sites: []string{reportMemory, configured("remember"), "encode gzip\n" + reportMemory}, check: learns,
		upstream: fixed("Etag", `"v"`, "Cache-Control", "public, max-age=600"),
	},
	{
		id: "B36", sites: []string{reportMemory}, upstream: fixed("Etag", `"v"`, "Cache-Control", "public, max-age=600"),
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for range 3 {
				wants(t, c, http.StatusOK, []string{"Cache-Control", "max-stale=6"})
			}
		},
	},
	{
		id: "B38", sites: []string{reportMemory, configured("remember"), reportBare},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				setFields(w.Header(), []string{
					"Cache-Control", "public, max-age=600", "Access-Control-Allow-Origin", r.Header.Get("Origin"),
					"Access-Control-Expose-Headers", "ETag", "Timing-Allow-Origin", "*", "Cross-Origin-Resource-Policy", "cross-origin",
				})
				_, _ = io.WriteString(w, "text")
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for _, origin := range []string{"https://app.example", "https://b.example", "https://app.example"} {
				first := wants(t, c, http.StatusOK, []string{"Origin", origin})
				for range 2 {
					wants(t, c, http.StatusNotModified, append(byTag("If-None-Match", first), "Origin", origin), "Access-Control-Allow-Origin", origin,
						"Access-Control-Expose-Headers", "ETag", "Timing-Allow-Origin", "*", "Cross-Origin-Resource-Policy", "cross-origin")
				}
			}
		},
	},
	{
		id: "B40", sites: []string{configured("remember 10m {\nignore_cookies XSRF-TOKEN\nignore_set_cookie XSRF-TOKEN\n}")},
		upstream: func(s *scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				setFields(w.Header(), []string{"Cache-Control", "max-age=600, public, immutable", "Set-Cookie", fmt.Sprintf("XSRF-TOKEN=%d", s.asked.Load())})
				_, _ = io.WriteString(w, "an image")
			}
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			first := wants(t, c, http.StatusOK, nil, "Set-Cookie", "*")
			s.asksUpstream(t, 0, func() {
				wants(t, c, http.StatusNotModified, append(byTag("If-None-Match", first), "Cookie", "XSRF-TOKEN=1"), "Set-Cookie", "")
			})
			s.asksUpstream(t, 1, func() { wants(t, c, http.StatusNotModified, byTag("If-None-Match", first), "Set-Cookie", "*") })
		},
	},
	{
		id: "B43", sites: []string{configured("remember")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				setFields(w.Header(), []string{"Cache-Control", "s-maxage=60", "Vary", "RSC, Accept-Encoding", "Content-Type", "text/plain"})
				_, _ = io.WriteString(w, "for "+r.Header.Get("RSC"))
			}
		},
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			page, payload := wants(t, c, http.StatusOK, nil), wants(t, c, http.StatusOK, []string{"RSC", "1"})
			wants(t, c, http.StatusOK, append(byTag("If-None-Match", page), "RSC", "1"))
			wants(t, c, http.StatusOK, byTag("If-None-Match", payload))
			s.asksUpstream(t, 0, func() {
				wants(t, c, http.StatusNotModified, append(byTag("If-None-Match", payload), "RSC", "1"))
				wants(t, c, http.StatusNotModified, byTag("If-None-Match", page))
			})
		},
	},
	{
		id: "B47", sites: []string{reportBare, reportCoded, configured("etag strong"), configured("remember"), reportMemory, configured("head get")},
		upstream: func(*scripted) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				setFields(w.Header(), []string{"Last-Modified", modified, "Cache-Control", "max-age=0, private, must-revalidate"})
				if r.Header.Get("If-Modified-Since") == modified {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = io.WriteString(w, "the page of "+r.Header.Get("Cookie"))
			}
		},
		check: func(t *testing.T, c *client, _ *scripted) {
			t.Helper()
			for _, from := range []string{"sid=1", "", "sid=2"} {
				for _, to := range []string{"sid=1", "", "sid=2"} {
					stored := wants(t, c, http.StatusOK, []string{"Cookie", from}, "Etag", "*")
					status := http.StatusOK
					if from == to {
						status = http.StatusNotModified
					}
					wants(t, c, status, append(byTag("If-None-Match", stored), "Cookie", to))
					wants(t, c, status, append(byTag("If-None-Match", stored), "Cookie", to, "If-Modified-Since", modified))
				}
			}
		},
	},
	{
		id: "B51", sites: []string{configured("remember")}, upstream: pagesOf(func(*scripted) string { return "text" }, "Cache-Control", "public, max-age: 3600"),
		check: func(t *testing.T, c *client, s *scripted) {
			t.Helper()
			first := wants(t, c, http.StatusOK, nil, "Etag", "*")
			s.asksUpstream(t, 2, func() {
				for range 2 {
					wants(t, c, http.StatusNotModified, byTag("If-None-Match", first))
				}
			})
		},
	},
}
