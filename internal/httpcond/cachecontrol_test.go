package httpcond

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseCacheControl(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []string
		want  []Directive
	}{
		"absent":   {nil, nil},
		"empty":    {[]string{"", " , ,"}, nil},
		"one":      {[]string{"no-store"}, []Directive{{Name: "no-store"}}},
		"argument": {[]string{"max-age=60"}, []Directive{{"max-age", "60", true}}},
		"names in any case (RFC 9111 §5.2, MUST)": {[]string{"Max-Age=60, NO-STORE"}, []Directive{{"max-age", "60", true}, {Name: "no-store"}}},
		"quoted seconds (RFC 9111 §5.2, SHOULD)":  {[]string{`max-age="60"`}, []Directive{{"max-age", "60", true}}},
		"commas in an argument (§5.6.4, MUST)":    {[]string{`private="A, B", max-age=1`}, []Directive{{"private", "A, B", true}, {"max-age", "1", true}}},
		"escapes in an argument (§5.6.4, MUST)":   {[]string{`x="a\"b, \\c", y`}, []Directive{{"x", `a"b, \c`, true}, {Name: "y"}}},
		"several lines (§5.3, MUST)":              {[]string{"public", "max-age=1"}, []Directive{{Name: "public"}, {"max-age", "1", true}}},
		"repeated names are kept":                 {[]string{"max-age=1, max-age=2"}, []Directive{{"max-age", "1", true}, {"max-age", "2", true}}},
		"empty argument":                          {[]string{`a=, b=""`}, []Directive{{"a", "", true}, {"b", "", true}}},
		"spaces around = (SAFE)":                  {[]string{`private = "A, B" , b`}, []Directive{{"private", "A, B", true}, {Name: "b"}}},
		"= in an argument":                        {[]string{`a=b=c`}, []Directive{{"a", "b=c", true}}},
		"junk behind a quoted argument (SAFE)":    {[]string{`private="A, B"x, no-store`}, []Directive{{"private", `"A, B"x`, true}, {Name: "no-store"}}},
		"two quoted arguments (SAFE)":             {[]string{`a="x""y"`}, []Directive{{"a", `"x""y"`, true}}},
		"quote never closed (SAFE)":               {[]string{`private="A, no-store`}, []Directive{{"private", `"A`, true}, {Name: "no-store"}}},
		"quote in the middle of a token (SAFE)":   {[]string{`a=x"y, no-store"`}, []Directive{{"a", `x"y`, true}}},
		"a lone quote (SAFE)":                     {[]string{`a="`}, []Directive{{"a", `"`, true}}},
		"backslash at the end (SAFE)":             {[]string{`a="\`}, []Directive{{"a", `"\`, true}}},
		"a member in quotes has no name (SAFE)":   {[]string{`"public, no-store", a`}, []Directive{{Name: "a"}}},
		"a name with a space (SAFE)":              {[]string{`no store, a`}, []Directive{{Name: "a"}}},
		"a name is not folded beyond ASCII":       {[]string{"no-\u017ftore, a"}, []Directive{{Name: "a"}}},
		"no name (SAFE)":                          {[]string{`=5, a`}, []Directive{{Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ParseCacheControl(tc.lines)
			if !reflect.DeepEqual(got, tc.want) {
				t.Fatalf("ParseCacheControl(%q)\n got %+v\nwant %+v", tc.lines, got, tc.want)
			}
			for _, d := range got {
				if !HasDirective(tc.lines, d.Name) || !HasDirective(tc.lines, strings.ToUpper(d.Name)) {
					t.Errorf("HasDirective(%q, %q) is false", tc.lines, d.Name)
				}
			}
		})
	}
}

func TestRawDirectives(t *testing.T) {
	var got []Directive
	for d := range RawDirectives([]string{`X-A="1, \"2" , b c, Y=`, ` Private = "A, B", z`, "last"}) {
		if d.Name == "last" {
			break
		}
		got = append(got, d)
	}
	want := []Directive{{"X-A", `"1, \"2"`, true}, {"Y", "", true}, {"Private", `"A, B"`, true}, {Name: "z"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for d := range RawDirectives([]string{"a, b", "c"}) {
		if d.Name != "a" {
			t.Errorf("%+v after the end", d)
		}
		break
	}
}

func TestHasDirective(t *testing.T) {
	for _, tc := range []struct {
		line, name string
		want       bool
	}{
		{`max-age=60, no-store`, "no-store", true},
		{`no-cache="Set-Cookie"`, "no-cache", true},
		{`private="no-store"`, "no-store", false},
		{`private="a, no-store, b"`, "no-store", false},
		{`private="a\", no-store, b"`, "no-store", false},
		{`private="a", no-store`, "no-store", true},
		{`"no-store"`, "no-store", false},
		{`no-store-at-all`, "no-store", false},
		{`x-no-store`, "no-store", false},
		{"no-\u017ftore", "no-store", false},
		{`,,`, "", false},
	} {
		if got := HasDirective([]string{"", tc.line}, tc.name); got != tc.want {
			t.Errorf("HasDirective(%q, %q) = %v", tc.line, tc.name, got)
		}
	}
}

func TestDirectiveArgument(t *testing.T) {
	want := map[ArgumentKind]string{
		SecondsArgument: "max-age s-maxage stale-while-revalidate stale-if-error",
		FieldsArgument:  "private no-cache",
		NoArgument: "must-revalidate must-understand no-store no-transform proxy-revalidate " +
			"public immutable Immutable",
	}
	for kind, names := range want {
		for name := range strings.FieldsSeq(names) {
			if got, ok := DirectiveArgument(name); !ok || got != kind {
				t.Errorf("DirectiveArgument(%q) = %v, %v; want %v", name, got, ok, kind)
			}
		}
	}
	// Directives of requests (RFC 9111 §5.2.1) mean nothing in a response.
	for _, name := range []string{"", "only-if-cached", "max-stale", "min-fresh", "maxage", "no_store"} {
		if _, ok := DirectiveArgument(name); ok {
			t.Errorf("%q is known", name)
		}
	}
}

func TestNearestDirective(t *testing.T) {
	for name, want := range map[string]string{
		"maxage":                "max-age",
		"max_age":               "max-age",
		"s-max-age":             "s-maxage",
		"smaxage":               "s-maxage",
		"nocache":               "no-cache",
		"NoStore":               "no-store",
		"imutable":              "immutable",
		"must-revalidated":      "must-revalidate",
		"revalidate":            "must-revalidate",
		"stale-while-revalidat": "stale-while-revalidate",
		"publik":                "public",
		"max-age":               "max-age",
	} {
		if got := NearestDirective(name); got != want {
			t.Errorf("NearestDirective(%q) = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", "é", strings.Repeat("x", 1000)} {
		if _, ok := DirectiveArgument(NearestDirective(name)); !ok {
			t.Errorf("NearestDirective(%q) is not a directive", name)
		}
	}
}

// TestMeantDirective: what is far from every directive is none of them.
func TestMeantDirective(t *testing.T) {
	for name, want := range map[string]string{
		"maxage": "max-age", "max_age": "max-age", "nocache": "no-cache", "No-Cach": "no-cache", "s-max-age": "s-maxage", "immutabel": "immutable",
		"stale-while-revalidat": "stale-while-revalidate", "json": "", ".css": "", "year": "", "cache": "", "only-if-cached": "", "max": "", "": "",
	} {
		if got := MeantDirective(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"ab", "ba", 2},
	} {
		if got := EditDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("EditDistance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
