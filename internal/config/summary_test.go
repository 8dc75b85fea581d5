package config

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestSummary(t *testing.T) {
	const (
		tags, dates, rows = "makes entity tags (auto, xxh3), keeps the upstream's; ", "puts Last-Modified in order; ", "leaves Cache-Control alone; "
		holds, ranges     = "buffers up to 4.0 MiB for 200ms; ", "answers Range; "
		writes, memory    = "judges writes that name a tag made here; ", "remembers nothing"
	)
	for want, h := range map[string]Handler{
		"leaves requests alone":                                {Off: true},
		tags + dates + rows + holds + ranges + writes + memory: {},
		"makes entity tags (strong, HMAC-SHA-256), puts them in place of the upstream's, ignores csrf, 2 expressions; " + dates + rows + holds + ranges + writes + memory: {
			ETag: &ETag{Mode: "strong", Secret: "s", Existing: "replace", Ignore: []string{"csrf"}, IgnoreExpressions: []string{"a", "b"}},
		},
		"makes no entity tags, takes the upstream's off; takes Last-Modified off and has 1 other source of dates; " + rows + holds + ranges + writes + memory: {
			ETag: &ETag{Mode: "off", Existing: "remove"}, LastModified: &LastModified{Mode: "remove", From: []LastModifiedSource{{}}},
		},
		tags + dates + "sets Cache-Control by 2 cache_control lines; lets what has no lifetime last 1h0m0s from its Last-Modified; " +
			"buffers up to 1.0 KiB for as long as it takes; answers no Range; asks for HEAD with GET; " + writes + memory: {
			CacheControl: []CacheControl{{}, {}}, Expires: "modified", ExpiresModified: caddy.Duration(time.Hour),
			Buffer: &Buffer{MaxBody: 1024, MaxDelay: -1}, Ranges: &Ranges{Mode: "off"}, Head: "get",
		},
		tags + dates + rows + holds + "answers Range, of what passes as well; judges PUT, PATCH, DELETE and refuses them without a condition; " +
			"remembers for as long as responses say in redis, 30s more of grace, 24h0m0s more while the upstream fails": {
			Ranges: &Ranges{Mode: "stream"}, GuardWrites: &GuardWrites{Require: true},
			Remember: &Remember{StoreRaw: json.RawMessage(`{"name":"redis"}`), Grace: caddy.Duration(30 * time.Second), StaleIfError: caddy.Duration(24 * time.Hour)},
		},
	} {
		if got := h.Summary(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
