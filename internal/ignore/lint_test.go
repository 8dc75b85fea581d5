package ignore

import (
	"strings"
	"testing"
)

// A number or a word by itself is what prices and texts are made of: an expression that leaves all of them out is
// warned of, however it is written, and one that names what stands beside is not.
func TestLint(t *testing.T) {
	for _, tt := range []struct{ want, expressions string }{
		{"matches numbers by themselves", `\d+ (\d+) \d [0-9]+ \b\d+\b \d{4} \d{2,} [[:digit:]]+ \pN+ \d+(?:\.\d+)? \d+\.\d\d (?m)^\d+$ >(\d+)< >\d+< "\d+" ` +
			`\d+% [0-9a-f]{8} [\d.,]+ \s\d+\s .+ (?s).+ . \S+ \w+ [^<]+ >([^<]*)< [a-z0-9]+ (?:a|\d+) -?\d+ =\d+& (?i)[A-F0-9]+`},
		{"matches any word", `[a-z]+ [A-Z]+ [[:alpha:]]+ \pL+ \b[A-Za-z]+\b [A-Z][a-z]+ \b[a-z]{5}\b >([a-z]+)< [^\d<>]+`},
		{"matches one text only", `abc build\ 7 (abc) timestamp crsf \Q<!--\E`},
		{"", `<!--\ (\d+)\ --> in\ \d+\ ms built\ (\d+) id="(\w+)" <!--.*?--> [0-9a-f]{32} [0-9a-f]{8}-[0-9a-f]{4} \d\d:\d\d:\d\d ` +
			`\d{4}-\d\d-\d\d rendered\ for\ (\S+)</p> €\ \d+ (?i)abc abc|abd [0-9]{21,} a[ a* csrf`},
	} {
		for expression := range strings.FieldsSeq(strings.ReplaceAll(tt.expressions, `\ `, "\x00")) {
			expression = strings.ReplaceAll(expression, "\x00", " ")
			got := Lint(expression)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q, want %q", expression, got, tt.want)
			}
		}
	}
	for expression, want := range map[string]string{
		".*":    "", // refused, as it matches the empty string
		"crsf":  "the word is csrf",
		`(a|b)`: "",
	} {
		if got := Lint(expression); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q", expression, got)
		}
	}
}

func TestNearestWord(t *testing.T) {
	for text, want := range map[string]string{
		"crsf": "csrf", "csrf_token": "csrf", "csrftoken": "csrf", "CSRF": "csrf", "Csrf": "csrf", "scrf": "csrf", "csf": "csrf", "cssrf": "csrf", "xsrf": "csrf",
		"XSRF-TOKEN": "csrf", "authenticity_token": "csrf", "tokens": "csrf", "csrf,": "csrf", "csrf,nonce": "nonce",
		"nonces": "nonce", "NONCE": "nonce", "csp-nonce": "nonce", "nonc": "nonce", "nocne": "nonce", "once": "nonce",
		"timestamp": "", "<!--": "", `(\d+)`: "", `\d+`: "", "": "", "date": "", "comments": "", "script": "",
	} {
		if got := nearest(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
