package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/guard"
)

// The coded form of the current tag goes up as the upstream knows it, and everything else as it came.
func TestDecode(t *testing.T) {
	tagged := func(etag string) caddyhttp.HandlerFunc { return sendsPage("Etag", etag) }
	rows := []guardTrial{
		{name: "as encode has it", fields: pairs("If-Match", `"abc-gzip"`)},
		{name: "as Jetty has it", fields: pairs("If-Match", `"abc--gzip"`)},
		{name: "with a semicolon", fields: pairs("If-Match", `"abc;gzip"`)},
		{name: "br", fields: pairs("If-Match", `"abc-br"`)},
		{name: "zstd", fields: pairs("If-Match", `"abc--zstd"`)},
		{name: "among others", fields: pairs("If-Match", `"x", "abc-gzip"`)},
		{name: "on two lines", fields: pairs("If-Match", `"x"`, "If-Match", `"abc-gzip"`)},
		{name: "POST", method: "POST", fields: pairs("If-Match", `"abc-gzip"`)},
		{name: "not guarded by its method", handler: strong("DELETE"), fields: pairs("If-Match", `"abc-gzip"`)},
		{name: "the tag is replaced", handler: &Handler{ETag: &ETag{Existing: "replace"}}, fields: pairs("If-Match", `"abc-gzip"`)},
		{name: "made of a whole second", get: sendsPage("Etag", `"6553f100-c"`, "Last-Modified", modified), fields: pairs("If-Match", `"6553f100-c-gzip"`), passed: pairs("If-Match", `"6553f100-c"`)},
	}
	for i := range rows {
		row := &rows[i]
		row.status, row.outcome, row.reason, row.calls = 204, "streamed", "coded_tag", "GET PUT"
		if row.get == nil {
			row.get, row.passed = tagged(`"abc"`), pairs("If-Match", `"abc"`)
		}
		if row.method != "" {
			row.calls = "GET " + row.method
		}
	}
	unchanged := []guardTrial{
		{name: "another one", get: tagged(`"def"`)},
		{name: "untrusted", fields: pairs("If-Match", strings.TrimSuffix(embeddedTag, `"`)+`-gzip"`), get: tagged(embeddedTag)},
		{name: "two lines of ETag", get: sendsPage("Etag", `"abc"`, "Etag", `"abc"`)},
		{name: "no 200", get: sends(203, page, "Etag", `"abc"`)},
		{name: "an error", get: failing(nil, errors.New("x"))},
		{name: "a bug", get: aborting(nil, "a bug")},
		{name: "a late bug", get: aborting(tagged(`"def"`), "a bug")},
	}
	for i := range unchanged {
		row := &unchanged[i]
		row.status, row.outcome, row.reason, row.calls = 204, "streamed", "method", "GET PUT"
		if row.fields == nil {
			row.fields = pairs("If-Match", `"abc-gzip"`)
		}
		row.passed = row.fields
	}
	left := []guardTrial{
		{name: "weak", fields: pairs("If-Match", `W/"abc-gzip"`)},
		{name: "If-None-Match", fields: pairs("If-None-Match", `"abc-gzip"`)},
		{name: "signed", fields: pairs("Authorization", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "If-Match", `"abc-gzip"`)},
	}
	for i := range left {
		row := &left[i]
		row.status, row.outcome, row.reason, row.calls, row.get = 204, "streamed", "method", "PUT", tagged(`"abc"`)
		row.passed = row.fields[len(row.fields)-2:]
	}
	rows = append(append(rows, unchanged...), left...)
	for i := range rows {
		if rows[i].handler == nil {
			rows[i].handler = new(Handler)
		}
	}
	runGuardTrials(t, rows)
}

// Afterwards the request has the field as it came, as access logs show it.
func TestDecodeGivesTheFieldBack(t *testing.T) {
	u := &resource{get: sendsPage("Etag", `"abc"`)}
	v := newVisit(t, "PUT", "/", "If-Match", `"abc-gzip"`).to(provisioned(t, nil), u.ServeHTTP)
	if got := v.r.Header.Get("If-Match"); got != `"abc-gzip"` || u.written.Get("If-Match") != `"abc"` {
		t.Errorf("the request has %s, the upstream saw %s", got, u.written.Get("If-Match"))
	}
}

// Of nested instances one asks, and what it has put right the others do not touch.
func TestDecodeOnce(t *testing.T) {
	u := &resource{get: sendsPage("Etag", `"abc"`)}
	inner := provisioned(t, nil)
	newVisit(t, "PUT", "/", "If-Match", `"def-gzip"`).to(provisioned(t, nil), within(inner, u.ServeHTTP))
	if got := strings.Join(u.calls, " "); got != "GET PUT" {
		t.Errorf("the upstream was asked %q", got)
	}
}

// It takes no turn, and does not wait for long: the write goes on, and the upstream is not told of a deadline, which
// would count as its failure.
func TestDecodeDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		u := &resource{get: func(_ http.ResponseWriter, r *http.Request) error {
			wantIdle(t)
			<-r.Context().Done()
			cause = r.Context().Err()
			return cause
		}}
		start := time.Now()
		v := newVisit(t, "PUT", "/", "If-Match", `"abc-gzip"`).to(provisioned(t, nil), u.ServeHTTP)
		if v.status() != 204 || time.Since(start) != guard.MaxGlance || !errors.Is(cause, context.Canceled) {
			t.Errorf("%d after %s, and the GET ended by %v", v.status(), time.Since(start), cause)
		}
	})
}
