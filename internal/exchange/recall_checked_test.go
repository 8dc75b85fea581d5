package exchange_test

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// forOrigin is an upstream that answers each Origin with its own fields, and says so in no Vary.
func forOrigin(fields ...string) caddyhttp.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
		return sendsPage(fields...)(w, r)
	}
}

// TestWhatBrowsersCheckOnARemembered304: what stands in the 200 to the same request.
func TestWhatBrowsersCheckOnARemembered304(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	checked := pairs("Access-Control-Expose-Headers", "ETag", "Timing-Allow-Origin", "*", "Cross-Origin-Resource-Policy", "same-site")
	of := func(origin string) []string {
		return append(pairs("Access-Control-Allow-Origin", origin, "Access-Control-Allow-Credentials", "true"), checked...)
	}
	ofNone := append(pairs("Access-Control-Allow-Origin", "", "Access-Control-Allow-Credentials", ""), checked...)
	next := forOrigin(checked...)
	named := pairs("If-None-Match", strongTag)
	from := func(origin string, more ...string) []string { return append(pairs("Origin", origin), more...) }
	reload := func(origin string) []string {
		return from(origin, append(pairs("Cache-Control", "no-cache"), named...)...)
	}
	t.Run("each origin has its own", func(t *testing.T) {
		runSteps(t, remembering(t, nil),
			step{next: next, fields: from(a), asked: true, want: of(a)},
			step{next: next, fields: from(a, named...), status: 304, reason: "remembered", want: of(a)},
			step{next: next, fields: from(b, named...), asked: true, status: 304, want: of(b)},
			step{next: next, fields: named, asked: true, status: 304, want: ofNone},
			step{next: next, asked: true, want: ofNone},
			step{next: next, fields: from(b), asked: true, want: of(b)},
			step{next: next, fields: named, status: 304, reason: "remembered", want: ofNone},
			step{next: next, fields: from(b, named...), status: 304, reason: "remembered", want: of(b)},
			step{next: next, fields: from(a, named...), status: 304, reason: "remembered", want: of(a)},
		)
	})
	t.Run("a write is one for all", func(t *testing.T) {
		h := remembering(t, nil)
		runSteps(t, h, step{next: next, fields: from(a), asked: true}, step{next: next, asked: true},
			step{method: http.MethodPost, next: sends(204, ""), asked: true, status: 204},
			step{next: next, fields: from(a, named...), asked: true, status: 304}, step{next: next, fields: named, asked: true, status: 304})
	})
	t.Run("the upstream's 304 has others", func(t *testing.T) {
		later := says304("Etag", `"u"`, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "PUT")
		runSteps(t, remembering(t, nil),
			step{next: forOrigin("Etag", `"u"`, "Timing-Allow-Origin", "*"), fields: from(a), asked: true},
			step{next: later, fields: append(reload(a)[:4], "If-None-Match", `"u"`), asked: true, status: 304},
			step{next: next, fields: from(a, "If-None-Match", `"u"`), status: 304, reason: "remembered", want: pairs(
				"Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "PUT", "Access-Control-Allow-Credentials", "true", "Timing-Allow-Origin", "*")},
		)
	})
	t.Run("dropped", func(t *testing.T) {
		h := remembering(t, func(h *Handler) {
			h.NotModified = &NotModified{Keep: pairs("X-Own"), Drop: pairs("timing-allow-origin", "Access-Control-Expose-Headers")}
		})
		with := forOrigin(append(pairs("X-Own", "1"), checked...)...)
		runSteps(t, h, step{next: with, asked: true}, step{next: with, fields: named, status: 304, reason: "remembered", want: pairs(
			"X-Own", "1", "Timing-Allow-Origin", "", "Access-Control-Expose-Headers", "", "Cross-Origin-Resource-Policy", "same-site")})
	})
	t.Run("through two instances", func(t *testing.T) {
		runSteps(t, nestedIn{provisioned(t, nil), remembering(t, nil)}, step{next: next, fields: from(a), asked: true},
			step{next: next, fields: from(a, named...), status: 304, want: of(a)})
	})
}

// TestFieldsOfHandlersOutsideAreTheirs: what a handler outside has set before is not remembered, as it says so on
// each response by itself. A configuration may be loaded that says something else.
func TestFieldsOfHandlersOutsideAreTheirs(t *testing.T) {
	h := remembering(t, func(h *Handler) { h.NotModified = &NotModified{Keep: pairs("X-Own")} })
	visited := func(origin, own string, fields ...string) *visit {
		v := newVisit(t, http.MethodGet, "/", fields...)
		v.rec.Header()["Access-Control-Allow-Origin"] = pairs(origin)
		v.rec.Header()["X-Own"] = pairs(own)
		v.serve(h, sendsPage("X-Own", "inside"))
		return v
	}
	visited("https://a.example", "a")
	v := visited("https://b.example", "a", "If-None-Match", strongTag)
	wantStatus(t, v, 304)
	wantPairs(t, "the 304", v.rec.Header(), pairs("Access-Control-Allow-Origin", "https://b.example", "X-Own", "a | inside"))
	if v.seen != nil {
		t.Error("not answered from memory")
	}
}
