package freshness

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// parseDuration knows days, as Caddy's does, and nothing else that Go's does not.
func parseDuration(s string) (time.Duration, error) {
	if days, found := strings.CutSuffix(s, "d"); found {
		hours, err := time.ParseDuration(days + "h")
		return 24 * hours, err
	}
	return time.ParseDuration(s)
}

func words(s ...string) []string { return s }

func TestCompile(t *testing.T) {
	for _, tt := range []struct {
		name      string
		words     []string
		extension []string
		want      string
	}{
		{"seconds", words("max-age=60"), nil, "max-age=60"},
		{"no seconds", words("max-age=0"), nil, "max-age=0"},
		{"a duration", words("max-age=1h"), nil, "max-age=3600"},
		{"days", words("max-age=30d"), nil, "max-age=2592000"},
		{"a duration of parts", words("s-maxage=1h30m"), nil, "s-maxage=5400"},
		{"milliseconds that make whole seconds", words("max-age=2000ms"), nil, "max-age=2"},
		{"quoted seconds (RFC 9111 §5.2)", words(`max-age="60"`), nil, "max-age=60"},
		{"the most that caches count to (§1.2.2)", words("max-age=2147483647"), nil, "max-age=2147483647"},
		{"leading zeros", words("max-age=007"), nil, "max-age=7"},
		{"separate words", words("public", "max-age=1h", "immutable"), nil, "public, max-age=3600, immutable"},
		{"one word with blanks", words("public max-age=1h"), nil, "public, max-age=3600"},
		{"pasted with commas", words("public, max-age=60"), nil, "public, max-age=60"},
		{"superfluous commas", words(" ,public,,max-age=60 ,\t"), nil, "public, max-age=60"},
		{"any case (§5.2)", words("Public MAX-AGE=60"), nil, "public, max-age=60"},
		{"the order of the operator", words("must-revalidate", "private"), nil, "must-revalidate, private"},
		{"field names", words(`private="Set-Cookie, X-User"`), nil, `private="Set-Cookie, X-User"`},
		{"field names without blanks", words(`no-cache="A,B" max-age=1`), nil, `no-cache="A, B", max-age=1`},
		{"one field name without quotes", words("no-cache=Set-Cookie"), nil, `no-cache="Set-Cookie"`},
		{"private for a field beside public", words(`public private="A"`), nil, `public, private="A"`},
		{"no-store beside no lifetime", words("no-store max-age=0"), nil, "no-store, max-age=0"},
		{"all of RFC 5861 and 8246", words("stale-while-revalidate=1m stale-if-error=1d immutable"), nil, "stale-while-revalidate=60, stale-if-error=86400, immutable"},
		{"the rest of RFC 9111", words("must-understand no-store no-transform proxy-revalidate"), nil, "must-understand, no-store, no-transform, proxy-revalidate"},
		{"an extension behind the row", words("max-age=1"), words("community=UCI"), "max-age=1, community=UCI"},
		{"only an extension", nil, words("x-a, x-b=1"), "x-a, x-b=1"},
		{"an extension's value keeps its case", nil, words("X-A=Bc"), "x-a=Bc"},
		{"an extension's quoted value", nil, words(`x="a, b c"`), `x="a, b c"`},
		{"an escaped quote in it", nil, words(`x="a\"b, c" y`), `x="a\"b, c", y`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row, err := Compile(Source{Directives: tt.words, Extension: tt.extension}, parseDuration)
			if err != nil {
				t.Fatal(err)
			}
			if row.String() != tt.want {
				t.Errorf("got %q, want %q", row, tt.want)
			}
		})
	}
}

// refusals: every word that is not understood is an error that says what would be right.
var refusals = []struct {
	name      string
	words     []string
	extension []string
	err       string // part of it
}{
	{"nothing", nil, nil, "at least one directive is needed, such as max-age=1h"},
	{"only separators", words(" , "), nil, "at least one directive is needed"},
	{"a typing error", words("max-ag=60"), nil, `did you mean "max-age"?`},
	{"the hyphen forgotten", words("nocache"), nil, `"nocache"; did you mean "no-cache"?`},
	{"s-max-age", words("s-max-age=1h"), nil, `did you mean "s-maxage"?`},
	{"far from everything", words("json max-age=60"), nil, `unknown Cache-Control directive "json"; a selector is a path (/assets/*), a media type (application/json) or the @name`},
	{"a unit by itself", words("max-age=1 year"), nil, `"year" is a unit and no directive; a lifetime is one word, such as max-age=365d`},
	{"a unit in capitals", words("max-age=2", "Weeks"), nil, `"Weeks" is a unit and no directive; a lifetime is one word, such as max-age=7d`},
	{"a lifetime by itself", words("1h"), nil, `"1h" is a lifetime and no directive; did you mean max-age=1h?`},
	{"seconds by themselves", words("public 3600"), nil, `"3600" is a lifetime and no directive; did you mean max-age=3600?`},
	{"days by themselves, quoted", words(`"30d"`), nil, `did you mean max-age=30d?`},
	{"a lifetime by itself beside a max-age", words("max-age=60 1h"), nil, `"1h" is a lifetime and no directive; did you mean max-age=1h?`},
	{"a lifetime that would be refused", words("1.5s"), nil, `unknown Cache-Control directive "1.5s"`},
	{"a negative lifetime by itself", words("-1h"), nil, `unknown Cache-Control directive "-1h"`},
	{"a lifetime for a name", words("1h=1"), nil, `unknown Cache-Control directive "1h"`},
	{"a request's directive", words("max-stale=1"), nil, `max-stale is a directive of requests`},
	{"no name", words("=60"), nil, `unknown Cache-Control directive ""`},
	{"blanks around =", words("max-age = 60"), nil, "max-age needs a lifetime, such as max-age=1h"},
	{"no lifetime", words("max-age"), nil, "max-age needs a lifetime, such as max-age=1h"},
	{"an empty lifetime", words("s-maxage="), nil, "s-maxage needs a lifetime, such as s-maxage=1h"},
	{"an empty quoted lifetime", words(`max-age=""`), nil, "max-age needs a lifetime"},
	{"no duration", words("max-age=soon"), nil, "nor a duration such as 90s, 1h or 30d"},
	{"fractional seconds", words("max-age=1.5"), nil, "nor a duration"},
	{"a fractional duration", words("max-age=1.5s"), nil, `max-age: "1.5s" is not a whole number of seconds`},
	{"milliseconds", words("max-age=100ms"), nil, `max-age: "100ms" is not a whole number of seconds`},
	{"negative", words("max-age=-1"), nil, "is negative; 0 is stale at once"},
	{"a negative duration", words("max-age=-1h"), nil, "is negative; 0 is stale at once"},
	{"too much", words("max-age=2147483648"), nil, "max-age: 2147483648 is over the 2147483647 seconds"},
	{"too many days", words("max-age=25000d"), nil, "max-age: 25000d is over the 2147483647 seconds"},
	{"more than an int64", words("max-age=99999999999999999999"), nil, "is over the 2147483647 seconds"},
	{"less than an int64", words("max-age=-99999999999999999999"), nil, "is negative"},
	{"half a quote around seconds", words(`max-age="60`), nil, "nor a duration"},
	{"half a quote around field names", words(`private="A`), nil, "is not a list of field names"},
	{"an empty word", words("public", ""), nil, "an empty word is no directive"},
	{"an empty word of an extension", words("public"), words(" "), "an empty word is no directive"},
	{"a value where none is", words("public=1"), nil, `public takes no value; write it without "=1"`},
	{"an empty value where none is", words("no-store="), nil, `no-store takes no value; write it without "="`},
	{"no field name", words(`private=""`), nil, `is not a list of field names such as `},
	{"blanks in a field name", words(`private="Set Cookie"`), nil, "is not a list of field names"},
	{"an empty field name", words(`no-cache="A,,B"`), nil, "is not a list of field names"},
	{"twice", words("max-age=1", "max-age=2"), nil, "max-age is given twice"},
	{"twice in another case", words("public, Public"), nil, "public is given twice"},
	{"public and private", words("private public"), nil, "public and private contradict each other; keep one"},
	{"private and s-maxage", words("s-maxage=1 private"), nil, "private and s-maxage contradict each other"},
	{"immutable and no-cache", words("immutable no-cache"), nil, "immutable and no-cache contradict each other"},
	{"immutable and no-store", words("no-store immutable"), nil, "immutable and no-store contradict each other"},
	{"no-store and public", words("no-store public"), nil, "no-store and public contradict each other"},
	{"no-store and max-age", words("no-store max-age=1"), nil, "no-store and max-age contradict each other"},
	{"no-store and s-maxage", words("s-maxage=1 no-store"), nil, "no-store and s-maxage contradict each other"},
	{"an extension that is none", nil, words("max-age=1"), "max-age is no extension; write it on the cache_control line itself"},
	{"an extension without a name", nil, words("=1"), "is not a Cache-Control directive; write name, or name=value"},
	{"an extension with an empty value", nil, words("x="), "is not a Cache-Control directive"},
	{"an extension with half a quote", nil, words(`x="a`), "is not a Cache-Control directive"},
	{"an extension with a lone quote", nil, words(`x="`), "is not a Cache-Control directive"},
	{"an extension that is no token", nil, words("x;y"), "is not a Cache-Control directive"},
	{"a line feed in an extension", nil, words("x=\"a\nb\""), "is not a Cache-Control directive"},
	{"an extension twice", nil, words("x=1 x=2"), "x is given twice"},
}

func TestCompileRefuses(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			row, err := Compile(Source{Directives: tt.words, Extension: tt.extension}, parseDuration)
			if err == nil {
				t.Fatalf("compiled to %q", row)
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %q, want %q in it", err, tt.err)
			}
		})
	}
}

// A quoted value has to end where its quotes do, or a recipient reads other directives behind it.
func TestCompileRefusesBrokenQuotes(t *testing.T) {
	for _, word := range []string{`x="a"b"`, `x="a\"`, `x="`, `x=""y""`, "x=\"a\x01\"", "x=\"a\x7f\""} {
		if row, err := Compile(Source{Directives: words("max-age=1"), Extension: words(word, "y")}, parseDuration); err == nil {
			t.Errorf("extension %s: compiled to %q", word, row)
		}
	}
}

// FuzzCompile: no text makes it panic, and what it writes is what it reads: compiling its own output
// gives the same text, and a recipient finds the same directives in it.
func FuzzCompile(f *testing.F) {
	for _, seed := range [][2]string{
		{"public, max-age=1h", `x="a, b" y=1`},
		{`private="A, B" no-cache=C`, ""},
		{"MAX-AGE=\"60\"\tS-maxage=1d", `x="a\"b"`},
		{`no-cache="`, `"x"=1`},
		{"immutable,,immutable", `x="a"b"`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, directives, extension string) {
		row, err := Compile(Source{Directives: words(directives), Extension: words(extension)}, parseDuration)
		if err != nil {
			return
		}
		members := httpcond.ParseCacheControl([]string{row.String()})
		source := Source{}
		for _, member := range split(row.String()) {
			name, _, _ := strings.Cut(member, "=")
			if _, known := httpcond.DirectiveArgument(name); known {
				source.Directives = append(source.Directives, member)
			} else {
				source.Extension = append(source.Extension, member)
			}
		}
		again, err := Compile(source, parseDuration)
		if err != nil || again.String() != row.String() {
			t.Fatalf("%q and %q give %q, which gives %q (%v)", directives, extension, row, again, err)
		}
		if n := len(source.Directives) + len(source.Extension); n != len(members) {
			t.Fatalf("%q has %d directives, and a recipient reads %d: %v", row, n, len(members), members)
		}
		checkPersonal(t, row)
	})
}

// checkPersonal: no row shares what belongs to one user.
func checkPersonal(t *testing.T, row *Row) {
	t.Helper()
	h := http.Header{}
	row.Apply(h, Response{Personal: true, Expires: true, Now: now})
	lines := h["Cache-Control"]
	if !httpcond.HasDirective(lines, "private") || httpcond.HasDirective(lines, "public") || httpcond.HasDirective(lines, "s-maxage") {
		t.Fatalf("%q is %q for one user", row, lines)
	}
}
