package exchange_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// coded is the tag of the page under a Content-Encoding.
func coded(coding string, weak bool) string {
	meta := tag.Metadata{ContentType: pairs("text/plain"), ContentEncoding: pairs(coding)}
	return new(tag.Maker).Digest(meta, []byte(page)).Field(weak, time.Time{})
}

// Design §3, "Entity tags": auto is weak when the response can still be content-coded on its way out.
func TestTagStrength(t *testing.T) {
	strong, weak := &Handler{ETag: &ETag{Mode: "strong"}}, &Handler{ETag: &ETag{Mode: "weak"}}
	runTrials(t, []trial{
		{name: "auto, no coding accepted", want: pairs("Etag", strongTag)},
		{name: "auto, gzip accepted", fields: pairs("Accept-Encoding", "gzip, br"), want: pairs("Etag", weakTag)},
		{name: "auto, anything accepted", fields: pairs("Accept-Encoding", "*"), want: pairs("Etag", weakTag)},
		{name: "auto, only identity accepted", fields: pairs("Accept-Encoding", "identity"), want: pairs("Etag", strongTag)},
		{name: "auto, gzip refused (RFC 9110 §12.4.2)", fields: pairs("Accept-Encoding", "gzip;q=0"), want: pairs("Etag", strongTag)},
		{
			name: "auto, coded already", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Content-Encoding", "gzip"),
			want: pairs("Etag", coded("gzip", false), "Content-Encoding", "gzip"),
		},
		{
			name: "auto, no-transform", fields: pairs("Accept-Encoding", "gzip"), next: sendsPage("Cache-Control", "no-transform"),
			want: pairs("Etag", strongTag),
		},
		{
			name: "auto, no-transform by our own row", fields: pairs("Accept-Encoding", "gzip"),
			handler: &Handler{CacheControl: []CacheControl{{Directives: pairs("no-transform")}}}, want: pairs("Etag", strongTag),
		},
		{name: "strong, gzip accepted", handler: strong, fields: pairs("Accept-Encoding", "gzip"), want: pairs("Etag", strongTag)},
		{name: "weak, no coding accepted", handler: weak, want: pairs("Etag", weakTag)},
	})
}

// Design §3, "Entity tags": the tag carries a Last-Modified that is a strong date.
func TestTagDate(t *testing.T) {
	dated := sendsPage("Last-Modified", modified)
	epoch := tag.Maker{Epoch: "2"}
	epochTag := epoch.Digest(tag.Metadata{ContentType: pairs("text/plain")}, []byte(page)).Field(false, time.Time{})
	runTrials(t, []trial{
		{name: "a strong date", next: dated, want: pairs("Etag", datedTag, "Last-Modified", modified)},
		{name: "a strong date in another form", next: sendsPage("Last-Modified", "1700000000"), want: pairs("Etag", datedTag)},
		{name: "a strong date, left as it is", next: dated, handler: &Handler{LastModified: &LastModified{Mode: "off"}}, want: pairs("Etag", datedTag)},
		{name: "Vary: Accept-Encoding", next: sendsPage("Last-Modified", modified, "Vary", "accept-encoding"), want: pairs("Etag", datedTag)},
		{name: "Date a second later (RFC 9110 §8.8.2.2)", next: sendsPage("Last-Modified", modified, "Date", "Tue, 14 Nov 2023 22:13:21 GMT"), want: pairs("Etag", datedTag)},
		{name: "Date the same: a weak date", next: sendsPage("Last-Modified", modified, "Date", modified), want: pairs("Etag", strongTag)},
		{name: "in the future: becomes Date, and is weak", next: sendsPage("Last-Modified", dayAfter, "Date", modified), want: pairs("Etag", strongTag, "Last-Modified", modified)},
		{name: "Vary: Cookie, of a request without (see who_test.go)", next: sendsPage("Last-Modified", modified, "Vary", "Cookie, Authorization"), want: pairs("Etag", datedTag)},
		{name: "Vary: Cookie and another", next: sendsPage("Last-Modified", modified, "Vary", "Cookie, Accept"), want: pairs("Etag", strongTag)},
		{name: "Vary on a second line", next: sendsPage("Last-Modified", modified, "Vary", "Accept-Encoding", "Vary", "Origin"), want: pairs("Etag", strongTag)},
		{name: "Vary: *", next: sendsPage("Last-Modified", modified, "Vary", "*"), want: pairs("Etag", strongTag)},
		{name: "a build tool's date", next: sendsPage("Last-Modified", epochDate), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "no date", next: sendsPage("Last-Modified", "yesterday"), want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "epoch", next: dated, handler: &Handler{ETag: &ETag{Epoch: "2"}}, want: pairs("Etag", epochTag, "Last-Modified", modified)},
		{name: "last_modified remove", next: dated, handler: &Handler{LastModified: &LastModified{Mode: "remove"}}, want: pairs("Etag", strongTag, "Last-Modified", "")},
		{name: "existing replace", next: dated, handler: &Handler{ETag: &ETag{Existing: "replace"}}, want: pairs("Etag", strongTag)},
	})
}

// The hash, secret, media type and coding are part of a tag; the time and the process are not.
func TestTagInput(t *testing.T) {
	seen := make(map[string]string)
	for _, tt := range []struct {
		name string
		etag *ETag
		next caddyhttp.HandlerFunc
	}{
		{"bare", nil, sendsPage()},
		{"sha256", &ETag{Hash: "sha256"}, sendsPage()},
		{"secret", &ETag{Secret: "a"}, sendsPage()},
		{"another secret", &ETag{Secret: "b"}, sendsPage()},
		{"epoch", &ETag{Epoch: "a"}, sendsPage()},
		{"another media type", nil, sends(200, page, "Content-Type", "text/html")},
		{"a coding", nil, sendsPage("Content-Encoding", "br")},
		{"another body", nil, sends(200, page+"!", "Content-Type", "text/plain")},
	} {
		var tags []string
		for range 2 {
			v := newVisit(t, "GET", "/").to(provisioned(t, &Handler{ETag: tt.etag}), tt.next)
			tags = append(tags, v.rec.Header().Get("Etag"))
			if got := v.said("etag"); got != tags[0] {
				t.Errorf("%s: the placeholder says %q, the response %q", tt.name, got, tags[0])
			}
		}
		if _, ok := tag.Parse(strings.Trim(tags[0], `"`)); !ok || tags[0] != tags[1] {
			t.Errorf("%s: tags %q", tt.name, tags)
		}
		if other, twice := seen[tags[0]]; twice {
			t.Errorf("%s has the tag of %s", tt.name, other)
		}
		seen[tags[0]] = tt.name
	}
}

// An empty Content-Encoding is no coding: encode may still apply one, so that auto has to be weak.
func TestEmptyContentEncoding(t *testing.T) {
	v := newVisit(t, "GET", "/", "Accept-Encoding", "gzip").to(provisioned(t, nil), sendsPage("Content-Encoding", ""))
	if got := v.rec.Header().Get("Etag"); !strings.HasPrefix(got, "W/") {
		t.Errorf("ETag %s, want a weak one", got)
	}
}
