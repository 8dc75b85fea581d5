package config

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dunglas/httpsfv"

	"github.com/conditionalcache/caddy-conditional-cache/internal/announce"
	"github.com/conditionalcache/caddy-conditional-cache/internal/identity"
	"github.com/conditionalcache/caddy-conditional-cache/internal/policy"
	"github.com/conditionalcache/caddy-conditional-cache/internal/upstream"
)

// compiled is the policy of a configuration that has to be right.
func compiled(t *testing.T, h *Handler) *policy.Policy {
	t.Helper()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	p, err := h.Compile(caddy.Context{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCompileDefaults: what the bare directive is.
func TestCompileDefaults(t *testing.T) {
	got := compiled(t, new(Handler))
	want := &policy.Policy{
		Freshness:   policy.Freshness{Rows: []policy.Row{}, Expires: true},
		Ranges:      policy.Ranges{Max: 16},
		Bounds:      policy.Bounds{MaxBody: 4 << 20, MaxDelay: 200 * time.Millisecond, MaxTotal: 1000},
		NotModified: policy.NotModified{Keep: map[string]bool{}, Drop: map[string]bool{}},
	}
	want.Tags.Maker.Secret = []byte{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestCompileWords: every word says what it says, to the field that is for it.
func TestCompileWords(t *testing.T) {
	t.Setenv("CONDITIONAL_CACHE_TEST", "of the environment")
	got := compiled(t, &Handler{
		ETag:         &ETag{Mode: "strong", Hash: "sha256", Existing: "remove", Secret: "{env.CONDITIONAL_CACHE_TEST}", Epoch: "e{env.CONDITIONAL_CACHE_TEST}"},
		LastModified: &LastModified{Mode: "off", From: []LastModifiedSource{{FirstSeen: true}}, Lenient: true},
		Expires:      "modified", ExpiresModified: caddy.Duration(time.Hour),
		Buffer: &Buffer{MaxBody: 5, MaxDelay: -1}, Head: "get", Ranges: &Ranges{Mode: "stream", Max: 255}, GuardWrites: &GuardWrites{Require: true},
		Remember: &Remember{Key: "{k}", IgnoreCookies: []string{"theme"}}, NotModified: &NotModified{Keep: []string{"set-cookie"}, Drop: []string{"link"}}, ContentLocation: true, Block: "3",
		CacheStatus: "the edge", ServerTiming: true, DebugHeaders: true,
	})
	want := &policy.Policy{
		Treatment: upstream.Treatment{LastModified: upstream.AsSent, Existing: upstream.RemoveTag, Undated: true},
		Shown:     upstream.Rules{WithholdAll: true, Undated: true, DatesFound: true},
		Lenient:   true,
		Dates:     policy.Dates{FirstSeen: true},
		Freshness: policy.Freshness{Rows: []policy.Row{}, Expires: true, AfterModified: time.Hour},
		Bounds:    policy.Bounds{MaxBody: 5, MaxDelay: -1, MaxTotal: 1000},
		HeadAsGet: true, Ranges: policy.Ranges{Mode: policy.RangesStream, Max: 255},
		NotModified:     policy.NotModified{Keep: map[string]bool{"Set-Cookie": true}, Drop: map[string]bool{"Link": true}},
		Guard:           policy.Guard{Methods: []string{"PUT", "PATCH", "DELETE"}, Require: true},
		ContentLocation: true, Block: "3",
		Announce: announce.Fields{CacheStatus: httpsfv.NewItem("the edge"), Timing: true, Debug: true},
		Identity: policy.Identity{
			Cookies: identity.Rules{Ignored: []string{"theme"}}, Text: "{k}", Key: identity.KeyOf([]byte("of the environment")),
		},
	}
	want.Tags.Mode, want.Tags.Maker.SHA256 = policy.Strong, true
	want.Tags.Maker.Secret, want.Tags.Maker.Epoch = []byte("of the environment"), "eof the environment"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = compiled(t, &Handler{ETag: &ETag{Mode: "off"}, Expires: "off", Ranges: &Ranges{Mode: "off"}, LastModified: dates(LastModifiedSource{Header: "X-Date"})})
	if got.Tags.Mode != policy.Off || !got.Treatment.Tagless || got.Freshness.Expires || got.Ranges != (policy.Ranges{Mode: policy.RangesOff, Max: 16}) || got.Dates.From == nil || got.Dates.FirstSeen {
		t.Errorf("off: %+v", got)
	}
	if got.Identity.Key != nil {
		t.Error("without a secret, who asks is digested with a key that is not one")
	}
	if got = compiled(t, &Handler{ETag: &ETag{Ignore: []string{"csrf"}}}); got.Tags.Mode != policy.Weak || got.Tags.Ignore == nil {
		t.Errorf("ignore: %+v", got.Tags)
	}
}

// TestCompileRows: each kind of selector selects what it names, and no more.
func TestCompileRows(t *testing.T) {
	p := compiled(t, &Handler{
		ResponseMatchers: map[string]caddyhttp.ResponseMatcher{"x": {StatusCode: []int{4}}, "y": {StatusCode: []int{5}}},
		CacheControl: []CacheControl{
			{Path: OneOrMore{"/A*"}, Directives: []string{"max-age=1"}, Existing: "replace"},
			{MediaType: OneOrMore{"Text/HTML"}, Directives: []string{"max-age=1"}, Existing: "merge", Jitter: 5},
			{ResponseMatcher: "x", Directives: []string{"no-store"}},
			{Path: OneOrMore{"/x", "/*/B"}, Off: true},
			{MediaType: OneOrMore{"image/*", "Text/CSS"}, Directives: []string{"no-cache"}},
			{Directives: []string{"public"}},
		},
	})
	request := httptest.NewRequest(http.MethodGet, "/a/b", nil)
	request = request.WithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())) // as Caddy does
	sent := func() *http.Request { return request }
	for i, want := range []struct{ here, html, missing, replaces, merges, spreads bool }{
		{here: true, html: true, missing: true, replaces: true},
		{html: true, merges: true, spreads: true},
		{missing: true},
		{here: true, html: true, missing: true},
		{here: true, missing: true},
		{here: true, html: true, missing: true},
	} {
		row := &p.Freshness.Rows[i]
		got := want
		got.here, got.html = row.Matches(sent, 200, nil, "text/css"), row.Matches(sent, 200, nil, "text/html")
		got.missing = row.Matches(sent, 404, nil, "text/css")
		got.replaces, got.merges, got.spreads = row.Replaces(), row.Merges(), row.Spreads()
		if got != want {
			t.Errorf("row %d: %+v, want %+v", i, got, want)
		}
	}
	if !p.Freshness.Spreads {
		t.Error("a row has jitter, and nothing is said to be spread")
	}
}

// TestCompilePlaceholders: a secret that is not there is no empty secret.
func TestCompilePlaceholders(t *testing.T) {
	for want, etag := range map[string]ETag{
		"etag secret: unrecognized placeholder {unknown}; write one that has a value when Caddy starts, such as {env.ETAG_SECRET}":             {Secret: "{unknown}"},
		"etag epoch: unrecognized placeholder {unknown}; write one that has a value when Caddy starts, such as {env.RELEASE}, or remove epoch": {Epoch: "{unknown}"},
	} {
		if _, err := (&Handler{ETag: &etag}).Compile(caddy.Context{}, 1); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
