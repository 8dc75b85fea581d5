package httpcond

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseEntityTag(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want EntityTag
		ok   bool
	}{
		"strong (§8.8.3, MUST)":                        {`"foo"`, EntityTag{Opaque: "foo"}, true},
		"weak (§8.8.3, MUST)":                          {`W/"foo"`, EntityTag{Weak: true, Opaque: "foo"}, true},
		"empty opaque tag is a tag (§8.8.3, MUST)":     {`""`, EntityTag{}, true},
		"weak empty opaque tag (§8.8.3, MUST)":         {`W/""`, EntityTag{Weak: true}, true},
		"optional whitespace around it (§5.5, MUST)":   {" \t\"foo\"\t ", EntityTag{Opaque: "foo"}, true},
		"comma is an etagc (§8.8.3, MUST)":             {`"a,b"`, EntityTag{Opaque: "a,b"}, true},
		"backslash stands for itself (§8.8.3, MUST)":   {`"e\tag"`, EntityTag{Opaque: `e\tag`}, true},
		"obs-text is an etagc (§8.8.3, MUST)":          {"\"\x80\xff\"", EntityTag{Opaque: "\x80\xff"}, true},
		"first and last visible (§8.8.3, MUST)":        {"\"!#~\"", EntityTag{Opaque: "!#~"}, true},
		"W/ inside the quotes is opaque (§8.8.3)":      {`"W/foo"`, EntityTag{Opaque: "W/foo"}, true},
		"star in quotes is a tag (§8.8.3, MUST)":       {`"*"`, EntityTag{Opaque: "*"}, true},
		"lower-case w/ is no prefix (§8.8.3, MUST)":    {`w/"foo"`, EntityTag{}, false},
		"no space after W/ (§8.8.3, MUST)":             {`W/ "foo"`, EntityTag{}, false},
		"unquoted (§8.8.3, MUST)":                      {`foo`, EntityTag{}, false},
		"single quotes (§8.8.3, MUST)":                 {`'foo'`, EntityTag{}, false},
		"prefix only (§8.8.3, MUST)":                   {`W/`, EntityTag{}, false},
		"prefix and a quote (§8.8.3, MUST)":            {`W/"`, EntityTag{}, false},
		"one quote (§8.8.3, MUST)":                     {`"`, EntityTag{}, false},
		"unterminated (§8.8.3, MUST)":                  {`"foo`, EntityTag{}, false},
		"three quotes (§8.8.3, MUST)":                  {`"""`, EntityTag{}, false},
		"escaped quote does not exist (§8.8.3, MUST)":  {`"a\"b"`, EntityTag{}, false},
		"space inside (§8.8.3, MUST)":                  {`"a b"`, EntityTag{}, false},
		"DEL inside (§8.8.3, MUST)":                    {"\"a\x7fb\"", EntityTag{}, false},
		"control inside (§8.8.3, MUST)":                {"\"a\x00b\"", EntityTag{}, false},
		"two tags (§8.8.3, ETag is not a list, MUST)":  {`"a", "b"`, EntityTag{}, false},
		"junk behind (§8.8.3, MUST)":                   {`"a"x`, EntityTag{}, false},
		"star is no tag (§13.1.2, MUST)":               {`*`, EntityTag{}, false},
		"empty (§8.8.3, MUST)":                         {``, EntityTag{}, false},
		"NBSP is not optional whitespace (§5.6.3)":     {"\u00a0\"foo\"", EntityTag{}, false},
		"line break is not optional whitespace (§5.5)": {"\"foo\"\n", EntityTag{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseEntityTag(tc.in)
			if ok != tc.ok || ok && got != tc.want {
				t.Fatalf("ParseEntityTag(%q) = %#v, %v; want %#v, %v", tc.in, got, ok, tc.want, tc.ok)
			}
			if ok && got.String() != trimOWS(tc.in) {
				t.Errorf("String() = %q, want %q", got.String(), trimOWS(tc.in))
			}
		})
	}
}

// The table of RFC 9110 §8.8.3.2.
func TestComparison(t *testing.T) {
	w1, w2 := EntityTag{true, "1"}, EntityTag{true, "2"}
	s1, s2 := EntityTag{false, "1"}, EntityTag{false, "2"}
	for _, tc := range []struct {
		a, b         EntityTag
		strong, weak bool
	}{
		{w1, w1, false, true},
		{w1, w2, false, false},
		{w1, s1, false, true},
		{s1, w1, false, true},
		{s1, s1, true, true},
		{s1, s2, false, false},
		{EntityTag{false, "a"}, EntityTag{false, "A"}, false, false},
		{EntityTag{false, "12345678"}, EntityTag{false, "123456789"}, false, false},
	} {
		if got := StrongMatch(tc.a, tc.b, nil); got != tc.strong {
			t.Errorf("StrongMatch(%v, %v) = %v", tc.a, tc.b, got)
		}
		if got := WeakMatch(tc.a, tc.b, nil); got != tc.weak {
			t.Errorf("WeakMatch(%v, %v) = %v", tc.a, tc.b, got)
		}
	}
}

func TestComparisonOfOtherTags(t *testing.T) {
	samePrefix := func(a, b string) bool { return a[:1] == b[:1] }
	a, b := EntityTag{Opaque: "x1"}, EntityTag{Opaque: "x2"}
	if !StrongMatch(a, b, samePrefix) || !WeakMatch(a, b, samePrefix) {
		t.Error("the given comparison is not used")
	}
	if StrongMatch(EntityTag{true, "x1"}, b, samePrefix) {
		t.Error("the given comparison made a weak tag match strongly")
	}
}

func tags(wire ...string) []EntityTag {
	list := []EntityTag{}
	for _, s := range wire {
		tag, ok := ParseEntityTag(s)
		if !ok {
			panic("not a tag: " + s)
		}
		list = append(list, tag)
	}
	return list
}

func TestParseTagCondition(t *testing.T) {
	none := []EntityTag{}
	for name, tc := range map[string]struct {
		lines []string
		want  TagCondition
	}{
		"absent":                                {nil, TagCondition{}},
		"empty slice is absent":                 {[]string{}, TagCondition{}},
		"empty value is present (§13.1.2)":      {[]string{""}, TagCondition{Present: true, Tags: none}},
		"only a comma is present (§5.6.1.2)":    {[]string{","}, TagCondition{Present: true, Tags: none}},
		"one":                                   {[]string{`"a"`}, TagCondition{Present: true, Tags: tags(`"a"`)}},
		"list, order kept (§5.6.1, MUST)":       {[]string{`"a", W/"b" ,"c"`}, TagCondition{Present: true, Tags: tags(`"a"`, `W/"b"`, `"c"`)}},
		"tabs (§5.6.3, MUST)":                   {[]string{"\t\"a\"\t,\t\"b\"\t"}, TagCondition{Present: true, Tags: tags(`"a"`, `"b"`)}},
		"empty members (§5.6.1.2, MUST)":        {[]string{`, ,"a",, "b" ,`}, TagCondition{Present: true, Tags: tags(`"a"`, `"b"`)}},
		"all lines, not the first (§5.3, MUST)": {[]string{`"a"`, `"b", "c"`}, TagCondition{Present: true, Tags: tags(`"a"`, `"b"`, `"c"`)}},
		"empty line among others (§5.6.1.2)":    {[]string{``, `"b"`}, TagCondition{Present: true, Tags: tags(`"b"`)}},
		"comma inside a tag (§8.8.3, MUST)":     {[]string{`"x", "a,b", "y"`}, TagCondition{Present: true, Tags: tags(`"x"`, `"a,b"`, `"y"`)}},
		"a tag of a comma (§8.8.3, MUST)":       {[]string{`",",","`}, TagCondition{Present: true, Tags: tags(`","`, `","`)}},
		"star (§13.1.2, MUST)":                  {[]string{`*`}, TagCondition{Present: true, Any: true}},
		"star, padded (§5.5, MUST)":             {[]string{" *\t"}, TagCondition{Present: true, Any: true}},
		"star in quotes is a tag (§13.1.2)":     {[]string{`"*"`}, TagCondition{Present: true, Tags: tags(`"*"`)}},

		// Read as a star by servers that look at the first byte only.
		"*junk is not a star (§13.1.2, SAFE)":         {[]string{`*junk`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"** is not a star (§13.1.2, SAFE)":            {[]string{`**`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"star before a tag (§13.1.2, MAY)":            {[]string{`*, "a"`}, TagCondition{Present: true, Tags: tags(`"a"`), Malformed: 1}},
		"star behind a tag (§13.1.1, MAY)":            {[]string{`"a", *`}, TagCondition{Present: true, Tags: tags(`"a"`), Malformed: 1}},
		"star and an empty member (§13.1.2)":          {[]string{`*,`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"star and an empty line is that (§5.3)":       {[]string{`*`, ``}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"two stars on two lines (§13.1.2)":            {[]string{`*`, `*`}, TagCondition{Present: true, Tags: none, Malformed: 2}},
		"weak star is no star (§13.1.2)":              {[]string{`W/*`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"malformed first (§13.1.2, SAFE)":             {[]string{`a, "b"`}, TagCondition{Present: true, Tags: tags(`"b"`), Malformed: 1}},
		"malformed in the middle (§13.1.2, SAFE)":     {[]string{`"a", b, w/"x", "c"`}, TagCondition{Present: true, Tags: tags(`"a"`, `"c"`), Malformed: 2}},
		"malformed on another line (§13.1.2, SAFE)":   {[]string{`W/`, `"c"`}, TagCondition{Present: true, Tags: tags(`"c"`), Malformed: 1}},
		"junk behind a tag spoils it (SAFE)":          {[]string{`"a"x, "b"`}, TagCondition{Present: true, Tags: tags(`"b"`), Malformed: 1}},
		"missing comma spoils both (SAFE)":            {[]string{`"a" "b"`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"semicolon list (SAFE)":                       {[]string{`"a"; "b"`}, TagCondition{Present: true, Tags: none, Malformed: 1}},
		"space inside a tag (SAFE)":                   {[]string{`"a b", "c"`}, TagCondition{Present: true, Tags: tags(`"c"`), Malformed: 1}},
		"unterminated, then a tag (SAFE)":             {[]string{`"a, "b"`}, TagCondition{Present: true, Tags: tags(`"b"`), Malformed: 1}},
		"unterminated without spaces (SAFE)":          {[]string{`"a,"b"`}, TagCondition{Present: true, Tags: tags(`"b"`), Malformed: 1}},
		"unterminated at the end (SAFE)":              {[]string{`"b", W/"a`}, TagCondition{Present: true, Tags: tags(`"b"`), Malformed: 1}},
		"a quote does not reach the next line (SAFE)": {[]string{`"a`, `b"`, `"c"`}, TagCondition{Present: true, Tags: tags(`"c"`), Malformed: 2}},
		"backslash does not escape (§8.8.3)":          {[]string{`"a\", "b"`}, TagCondition{Present: true, Tags: tags(`"a\"`, `"b"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ParseTagCondition(tc.lines); !reflect.DeepEqual(got, tc.want) {
				t.Fatalf("ParseTagCondition(%q)\n got %+v\nwant %+v", tc.lines, got, tc.want)
			}
		})
	}
}

// A hostile list must not cost time or memory in proportion to its length.
func TestUnboundedMembers(t *testing.T) {
	list := strings.TrimSuffix(strings.Repeat(`"x",`, 150), ",")
	for name, lines := range map[string][]string{
		"one line":   {list},
		"many lines": strings.Split(list, ","),
	} {
		c := ParseTagCondition(lines)
		if len(c.Tags) != 100 || !c.Truncated {
			t.Errorf("%s: %d members looked at, truncated %v; want 100, true", name, len(c.Tags), c.Truncated)
		}
	}
	hundred := ParseTagCondition([]string{list[:100*4-1] + " ,, "})
	if len(hundred.Tags) != 100 || hundred.Truncated {
		t.Errorf("exactly 100: %d members, truncated %v; want 100, false", len(hundred.Tags), hundred.Truncated)
	}
	malformed := ParseTagCondition([]string{strings.Repeat("x,", 150) + `"a"`})
	if malformed.Malformed != 100 || len(malformed.Tags) != 0 || !malformed.Truncated {
		t.Errorf("malformed members are not counted: %d, %v", malformed.Malformed, malformed.Truncated)
	}
}

func TestLongField(t *testing.T) {
	filler := `"` + strings.Repeat("x", maxTagBytes-2-len(`,"a"`)) + `"`
	for name, tc := range map[string]struct {
		lines     []string
		tags      int
		truncated bool
	}{
		"ends at the limit":                    {[]string{filler + `,"a"`}, 2, false},
		"ends at the limit, two lines":         {[]string{filler, `"a"`}, 2, false},
		"a comma behind the limit":             {[]string{filler + `,"a",`}, 2, true},
		"a member behind the limit":            {[]string{filler + `,"a","b"`}, 2, true},
		"a member behind the limit, two lines": {[]string{filler + `,"a"`, `"b"`}, 2, true},
		"one byte over":                        {[]string{filler + ` ,"a"`}, 1, true},
		"one byte over, two lines":             {[]string{filler + ` `, `"a"`}, 1, true},
		"junk across the limit":                {[]string{filler + `,"a"x`}, 1, true},
		"one endless tag":                      {[]string{`"` + strings.Repeat("x", 1<<20) + `"`}, 0, true},
		"endless commas":                       {[]string{strings.Repeat(",", 1<<20) + `"a"`}, 0, true},
		"endless empty lines":                  {make([]string, 1<<16), 0, true},
	} {
		c := ParseTagCondition(tc.lines)
		if len(c.Tags) != tc.tags || c.Truncated != tc.truncated || !c.Present {
			t.Errorf("%s: %d tags, truncated %v; want %d, %v", name, len(c.Tags), c.Truncated, tc.tags, tc.truncated)
		}
	}
}
