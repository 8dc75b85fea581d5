package validators_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

func full() validators.Record {
	r := validators.Record{
		Stamp:        validators.Stamp{Forgotten: 1<<63 + 5, Purged: 7},
		ETag:         `W/"cc1.0123456789abcdef0123456789abcdef.t5bv40"`,
		LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Size:         -1,
		Received:     time.Date(2026, 1, 2, 3, 5, 5, 123e6, time.UTC),
		Date:         time.Date(2026, 1, 2, 3, 5, 4, 0, time.UTC),
		InitialAge:   90 * time.Second,
		Lifetime:     1500 * time.Millisecond,
		Flags:        validators.Cookies | validators.FoundDate,
		SetCookies:   "XSRF-TOKEN,theme",
	}
	r.AddField("Cache-Control", "public, max-age=60")
	r.AddField("Vary", "Accept-Encoding")
	r.AddField("Vary", "")
	r.AddField("X-Own", strings.Repeat("x", 300))
	return r
}

func encode(tb testing.TB, r *validators.Record) string {
	tb.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestDecodeReadsWhatWasEncoded(t *testing.T) {
	signpost := validators.Record{Nominated: "accept-language,cookie", Variants: strings.Repeat("0123456789abcdef", 3)}
	for name, want := range map[string]validators.Record{
		"full": full(), "least": {Received: time.UnixMilli(1).UTC()}, "signpost": signpost,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := validators.Decode(encode(t, &want))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestFieldsKeepTheirOrderAndLines(t *testing.T) {
	r := full()
	decoded, err := validators.Decode(encode(t, &r))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range decoded.Fields() {
		got = append(got, fmt.Sprintf("%s: %.20s", name, value))
	}
	want := []string{"Cache-Control: public, max-age=60", "Vary: Accept-Encoding", "Vary: ", "X-Own: xxxxxxxxxxxxxxxxxxxx"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeRefusesRubbish(t *testing.T) {
	r := full()
	whole := encode(t, &r)
	variants := encode(t, &validators.Record{Nominated: "cookie", Variants: "short"})
	wide := whole[:18] + "\x00" + strings.Repeat("\xff", 9) + "\x02" + "\x00\x02\x00\x00\x00\x00\x00\x00"
	cut := r
	cut.AddField("Cache-Control", "x") // two octets for the name, two for the value
	longer := []byte(encode(t, &cut))
	longer[len(longer)-4] = 200
	cases := map[string]string{
		"a name of a longer list": string(longer),
		"a number of 65 bits":     wide, "nothing": "", "version 1": "\x01" + whole[1:], "version 3": "\x03" + whole[1:], "text": "hello, is this a record of any version at all?",
		"nobody's time": encode(t, &validators.Record{ETag: `"x"`}), "broken list of variants": variants, "more": whole + "x",
	}
	for name, s := range cases {
		if _, err := validators.Decode(s); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
	for n := range len(whole) {
		if got, err := validators.Decode(whole[:n]); err == nil {
			// Cut between two lines of fields, it is a record with fewer.
			lines := slices.Collect(func(yield func(string) bool) {
				for name := range got.Fields() {
					if !yield(name) {
						return
					}
				}
			})
			if len(lines) >= 4 {
				t.Errorf("the first %d octets were read with all %d fields", n, len(lines))
			}
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	r := full()
	s := encode(t, &r)
	if n := testing.AllocsPerRun(100, func() { _, _ = validators.Decode(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	r := full()
	f.Add(encode(f, &r))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := validators.Decode(s)
		if err != nil {
			return
		}
		again, err := validators.Decode(encode(t, &got))
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%+v became %+v, %v", got, again, err)
		}
	})
}

func uri(t *testing.T, host, target string) validators.URI {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return validators.NewURI(host, u)
}

func TestURIsOfOneMeaningAreEqual(t *testing.T) {
	want := uri(t, "example.com", "/a/b?q=1")
	for _, other := range []validators.URI{
		uri(t, "EXAMPLE.com:443", "/%61/b?q=1"), uri(t, "example.com:80", "/a/b?q=1"), uri(t, "example.com.", "/a%2fb?q=1"),
	} {
		if other != want {
			t.Errorf("got %+v, want %+v", other, want)
		}
	}
	for _, other := range []validators.URI{
		uri(t, "example.com:8080", "/a/b?q=1"), uri(t, "example.com", "/a/b?q=2"), uri(t, "example.com", "/a/b"), uri(t, "example.com", "/A/b?q=1"),
	} {
		if other.Sum == want.Sum {
			t.Errorf("%+v has the same sum", other)
		}
	}
}

// TestHostsOfOneMeaningAreEqual: the scheme does not count, so that the default port of each is none (RFC 9110 §4.2.3).
func TestHostsOfOneMeaningAreEqual(t *testing.T) {
	for want, same := range map[string][]string{
		"a.example":      {"a.example", "a.example:", "a.example:80", "a.example:443", "A.Example", "A.EXAMPLE:", "a.example.", "a.example.:", "A.example.:443"},
		"a.example:8080": {"a.example:8080", "A.EXAMPLE:8080", "a.example.:8080"},
		"a.example:8443": {"a.example:8443"},
		"a.example:0":    {"a.example:0"},
		"192.0.2.1":      {"192.0.2.1", "192.0.2.1:", "192.0.2.1:80"},
		"[2001:db8::1]": {
			"[2001:db8::1]", "[2001:DB8::1]", "[2001:db8::1]:", "[2001:db8::1]:80", "[2001:db8::1]:443",
			"[2001:0db8:0:0:0:0:0:1]", "[2001:db8:0::0:1]:443",
		},
		"[2001:db8::1]:8080": {"[2001:db8::1]:8080", "[2001:db8:0:0:0:0:0:1]:8080"},
		"[2001:db8::80]":     {"[2001:db8::80]", "[2001:db8::80]:80"},
		"[2001:db8::443]":    {"[2001:db8::443]"},
		"[::ffff:192.0.2.1]": {"[::ffff:192.0.2.1]", "[::ffff:c000:201]"},
		"[v1.fe80]":          {"[v1.fe80]", "[V1.fe80]:"},
		"[192.0.2.1]":        {"[192.0.2.1]"}, // which is no address in brackets
		"[::g]:8080":         {"[::g]:8080"},
		"":                   {"", ":", ":80"},
	} {
		for _, host := range same {
			if got := validators.CanonicalHost(host); got != want {
				t.Errorf("%s is %s, want %s", host, got, want)
			}
			if again := validators.CanonicalHost(want); again != want {
				t.Errorf("%s is not yet canonical: %s", want, again)
			}
		}
	}
}

func TestScopeEndsAtSegments(t *testing.T) {
	cases := []struct {
		scope  validators.Scope
		host   string
		target string
		want   bool
	}{
		{validators.Scope{}, "any.example", "/x", true},
		{validators.Scope{Host: "a.example"}, "a.example", "/x", true},
		{validators.Scope{Host: "a.example"}, "b.example", "/x", false},
		{validators.Scope{Host: "a.example", Path: "/"}, "a.example", "/x", true},
		{validators.Scope{Host: "a.example", Path: "/a/b"}, "a.example", "/a/b", true},
		{validators.Scope{Host: "a.example", Path: "/a/b"}, "a.example", "/a/b?q", true},
		{validators.Scope{Host: "a.example", Path: "/a/b"}, "a.example", "/a/b/c", true},
		{validators.Scope{Host: "a.example", Path: "/a/b/"}, "a.example", "/a/b/c", true},
		{validators.Scope{Host: "a.example", Path: "/a/b/"}, "a.example", "/a/b", true},
		{validators.Scope{Host: "a.example", Path: "/a/b"}, "a.example", "/a/bc", false},
		{validators.Scope{Host: "a.example", Path: "/a/b"}, "a.example", "/a", false},
		{validators.Scope{Path: "/a"}, "b.example", "/a/x", true},
	}
	for _, c := range cases {
		if got := c.scope.Covers(uri(t, c.host, c.target)); got != c.want {
			t.Errorf("%+v covers %s%s: %v, want %v", c.scope, c.host, c.target, got, c.want)
		}
	}
}

func TestPurgesCoverWhatIsOlder(t *testing.T) {
	page, other := uri(t, "a.example", "/a/b"), uri(t, "a.example", "/c")
	none := new(validators.Purges)
	first := none.With(validators.Purge{Number: 10, Scope: validators.Scope{Path: "/a"}})
	second := first.With(validators.Purge{Number: 11, Scope: validators.Scope{Path: "/c"}})
	all := second.With(validators.Purge{Number: 12})
	cases := []struct {
		name   string
		purges *validators.Purges
		since  uint64
		uri    validators.URI
		want   bool
	}{
		{"no purge", none, 0, page, false},
		{"older than the purge", first, 0, page, true},
		{"older, but elsewhere", first, 0, other, false},
		{"as new as the purge", first, 10, page, false},
		{"older than the second", second, 10, other, true},
		{"older than the second, elsewhere", second, 10, page, false},
		{"older than both", second, 0, page, true},
		{"everything purged", all, 11, page, true},
		{"newer than that", all, 12, page, false},
		{"of another store", second, 99, page, true},
	}
	for _, c := range cases {
		if got := c.purges.Cover(c.since, c.uri); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if len(first.List) != 1 || len(none.List) != 0 {
		t.Error("With has changed what it was called on")
	}
}

func TestPurgesAreBounded(t *testing.T) {
	page := uri(t, "a.example", "/never/purged")
	p := new(validators.Purges)
	for n := range uint64(validators.MaxPurges + 10) {
		p = p.With(validators.Purge{Number: n + 1, Scope: validators.Scope{Path: "/a"}})
	}
	if len(p.List) != validators.MaxPurges || p.Base != 10 {
		t.Fatalf("%d purges after base %d", len(p.List), p.Base)
	}
	if !p.Cover(9, page) || p.Cover(10, page) || p.Cover(200, page) {
		t.Error("what is older than the oldest purge that is kept has to count as purged, and nothing else")
	}
}
