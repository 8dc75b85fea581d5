package ignore

import (
	"net/http"
	"strings"
	"testing"
)

// BenchmarkIgnore is the price of a page, by what there is to find in it.
func BenchmarkIgnore(b *testing.B) { //nolint:funlen // a table
	const size = 64 << 10
	s := newSource(1)
	filler := func(part string, size int) string { return strings.Repeat(part, size/len(part)+1)[:size] }
	plain := filler(`<div class="entry"><h2><a href="/articles/1">Another article</a></h2><p>None of the authors has more to say.</p></div>`+"\n", size)
	half := plain[:size/2]
	django := `<input type="hidden" name="csrfmiddlewaretoken" value="` + djangoToken(s, djangoSecret(s)) + `">`
	for _, bench := range []struct {
		name  string
		page  string
		words []string
	}{
		{"none", plain, []string{"csrf", "nonce"}},
		{"none/words=csrf", plain, []string{"csrf"}},
		{"none/words=regexp", plain, []string{`rendered in (\d+) ms`}},
		{"csrf", half + django + half, []string{"csrf", "nonce"}},
		{"csrf,first", django + plain, []string{"csrf", "nonce"}},
		{"nonce", half + `<script nonce="abc"></script>` + half, []string{"csrf", "nonce"}},
		{"regexp", half + "rendered in 7 ms" + half, []string{`rendered in (\d+) ms`}},
		{"regexp/literal=none", plain, []string{`\d{5,}`}},
		// What would cost more than once through, if each tag, quote or near miss were followed to its end anew.
		{"hostile/tags=open", "csrf nonce" + filler("<input ", size), []string{"csrf", "nonce"}},
		{"hostile/tags=open/size=1MiB", "csrf nonce" + filler("<input ", 1<<20), []string{"csrf", "nonce"}},
		{"hostile/quotes=open", "csrf nonce" + filler(`<input a="b'`, size), []string{"csrf", "nonce"}},
		{"hostile/tags=empty", "csrf nonce" + filler("<", size), []string{"csrf", "nonce"}},
		{"hostile/attributes", "csrf nonce<input " + filler("a = b ", size), []string{"csrf", "nonce"}},
		{"htmx", `<body hx-headers='{"X-CSRFToken": "` + djangoToken(s, djangoSecret(s)) + `"}'>` + plain, []string{"csrf", "nonce"}},
		{"hostile/names", filler("token ", size), []string{"csrf"}},
		{"hostile/names=long", filler("token", size), []string{"csrf"}},
		{"hostile/tokens", filler(`csrf="`+djangoToken(s, djangoSecret(s))+`"`, size), []string{"csrf"}},
		{"hostile/others=open", filler(`<p a="`, size) + `' <p data-csrf='` + djangoToken(s, djangoSecret(s)), []string{"csrf"}},
		{"hostile/others=open/size=1MiB", filler(`<p a="`, 1<<20) + `' <p data-csrf='` + djangoToken(s, djangoSecret(s)), []string{"csrf"}},
		{"hostile/scripts=open", filler(`<script>`, size) + `<p data-csrf='` + djangoToken(s, djangoSecret(s)) + "'>", []string{"csrf"}},
		{"hostile/attributes=data", "<p " + filler("data-a = b ", size) + `data-csrf='` + djangoToken(s, djangoSecret(s)) + "'>", []string{"csrf"}},
		{"hostile/near=nonce", filler("nonc", size), []string{"csrf", "nonce"}},
		{"hostile/gaps", filler("<link nonce=a>", size), []string{"csrf", "nonce"}},
		{"regexp/matches=600", filler("a line of text about something that took some 12 ms; and then another. It has been read 7 times.\n", size), []string{`\d+ ms`}},
		{"regexp/matches=600/prefix=yes", filler("a line of text about something that took some 12 ms; and then another. It has been read 7 times.\n", size), []string{`some (\d+) ms`}},
		// What reads on to the end for every match.
		{"hostile/matches=short", filler("x", size), []string{`x(?:[^y]*y)?`}},
		{"hostile/matches=short/size=1MiB", filler("x", 1<<20), []string{`x(?:[^y]*y)?`}},
		{"hostile/gaps/size=1MiB", filler("<link nonce=a>", 1<<20), []string{"csrf", "nonce"}},
	} {
		b.Run("candidate="+bench.name, func(b *testing.B) {
			resp := &Response{MediaType: "text/html", Body: []byte(bench.page), Memory: heap{}, Header: http.Header{}}
			r := compiled(b, bench.words...)
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.page)))
			for b.Loop() {
				_, _, _ = r.Content(resp)
			}
		})
	}
	b.Run("candidate=none/coding=gzip", func(b *testing.B) {
		resp := &Response{
			MediaType: "text/html", Body: zipped(b, plain, ""), Memory: heap{}, MaxDecoded: 1 << 20,
			Header: http.Header{"Content-Encoding": {"gzip"}},
		}
		r := compiled(b, "csrf", "nonce")
		b.ReportAllocs()
		b.SetBytes(size)
		for b.Loop() {
			_, _, _ = r.Content(resp)
		}
	})
}
