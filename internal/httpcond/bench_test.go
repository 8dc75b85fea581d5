package httpcond

import (
	"net/http"
	"testing"
)

func BenchmarkParsePreconditions(b *testing.B) {
	for name, h := range map[string]http.Header{
		"fields=none":     {"Accept": {"*/*"}, "User-Agent": {"x"}},
		"fields=tag":      {"If-None-Match": {`W/"cc1.0123456789abcdef0123456789abcdef"`}},
		"fields=tag+date": {"If-None-Match": {`W/"cc1.0123456789abcdef0123456789abcdef"`}, "If-Modified-Since": {lmEqual}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParsePreconditions(h, now, false)
			}
		})
	}
}

func BenchmarkEvaluate(b *testing.B) {
	for name, h := range map[string]http.Header{
		"verdict=proceed":      {"If-None-Match": {`"bar"`}},
		"verdict=not_modified": {"If-None-Match": {`W/"foo"`}},
	} {
		p := ParsePreconditions(h, now, false)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Evaluate("GET", strong)
			}
		})
	}
}

func BenchmarkParseDate(b *testing.B) {
	for name, s := range map[string]string{
		"form=imf":     "Sun, 06 Nov 1994 08:49:37 GMT",
		"form=rfc850":  "Sunday, 06-Nov-94 08:49:37 GMT",
		"form=asctime": "Sun Nov  6 08:49:37 1994",
		"form=none":    "784111777",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParseDate(s, now)
			}
		})
	}
}

func BenchmarkHasDirective(b *testing.B) {
	lines := []string{`private="Set-Cookie, X-A", max-age=60, stale-while-revalidate=600`}
	b.ReportAllocs()
	for b.Loop() {
		HasDirective(lines, "no-store")
	}
}
