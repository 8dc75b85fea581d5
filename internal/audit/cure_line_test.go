package audit

import (
	"strings"
	"testing"
)

// at says where the page is.
func (o *Observation) at(url string) *Observation {
	o.Final = url
	return o
}

const replacing = " {\n\texisting replace\n}"

// TestCuresInALine: what a line of cache_control cures has the path of its page, and what it need not cure has none.
func TestCuresInALine(t *testing.T) {
	const here, noStore, css = "https://a.example/admin/login/?next=/", "Cache-Control: no-store", "https://a.example/static/site.css"
	without := func(url string, fields ...string) *Observation {
		return observed(append(fields, tag, date)...).with(TagOne, answered(304, "", tag, date)).with(Date, answered(304, "", tag, date)).at(url)
	}
	form := func(body string) *Observation {
		o := observed(noStore)
		o.First.Body = []byte(body) // all answers are this one
		return o.at(here)
	}
	for name, test := range map[string]struct {
		o           *Observation
		kind        Kind
		lines, says string
	}{
		"a page without a store": {observed(noStore).at(here), NoStore, "cache_control /admin/login/ private no-cache" + replacing, "no-store is right"},
		"the first page":         {observed(noStore).at("https://a.example/"), NoStore, "cache_control / private no-cache" + replacing, ""},
		"a path with blanks":     {observed(noStore).at("https://a.example/a%20b"), NoStore, "", "no-store is right"},
		"a path with a pattern":  {observed(noStore).at("https://a.example/a*"), NoStore, "", "no-store is right"},
		"a cookie":               {observed(noStore, "Set-Cookie: a=1").at(here), NoStore, "", "sets a cookie, so leave it"},
		"a password":             {form(`<form><input name="p" type="password"></form>`), NoStore, "", "a field for a password, so leave it"},
		"a password, unquoted":   {form(`<INPUT NAME=p TYPE=Password>`), NoStore, "", "a field for a password, so leave it"},
		"a word of it":           {form(`<p>type="password" is a field</p>`), NoStore, "cache_control /admin/login/ private no-cache" + replacing, ""},

		"Cache-Control":            {without(css, fresh), NotModifiedWithout, "cache_control /static/site.css max-age=60" + replacing, "existing replace in its block"},
		"several directives":       {without(css, "Cache-Control: public, max-age=60", "Cache-Control: immutable"), NotModifiedWithout, "cache_control /static/site.css public max-age=60 immutable" + replacing, ""},
		"Expires as well":          {without(css, fresh, "Expires: Mon, 01 Jun 2026 12:01:00 GMT"), NotModifiedWithout, "cache_control /static/site.css max-age=60" + replacing, ""},
		"Expires alone":            {without(css, "Expires: Mon, 01 Jun 2026 13:00:00 GMT"), NotModifiedWithout, replaceTag.Lines, ""},
		"another field":            {without(css, fresh, "Vary: Cookie"), NotModifiedWithout, replaceTag.Lines, ""},
		"a directive of one's own": {without(css, `Cache-Control: max-age=60, community="UCI"`), NotModifiedWithout, replaceTag.Lines, ""},
		"a path that is none":      {without("https://a.example/a{b}", fresh), NotModifiedWithout, replaceTag.Lines, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range judge(test.o, newSecrets(&Options{})).Findings {
				if f.Kind != test.kind {
					continue
				}
				if f.Cure.Lines != test.lines || !strings.Contains(f.Cure.Reason, test.says) {
					t.Errorf("got %+v, want %q", f.Cure, test.lines)
				}
				return
			}
			t.Errorf("%s is not found", test.kind)
		})
	}
}
