package upstream

import (
	"strconv"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"

	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

// fileServerTag writes a tag as Caddy's file server does (calculateEtag), without its quotes.
func fileServerTag(mtime time.Time, size int64) string {
	return strconv.FormatInt(mtime.UnixNano(), 36) + "-" + strconv.FormatInt(size, 36)
}

func TestReadETag(t *testing.T) {
	for _, tt := range []struct {
		name            string
		lines           []string
		want            string
		present, usable bool
	}{
		{"no field", nil, "", false, false},
		{"an empty list", []string{}, "", false, false},
		{"an empty value is no tag", []string{""}, "", false, false},
		{"blanks are no tag", []string{" \t"}, "", false, false},
		{"strong", []string{`"abc"`}, `"abc"`, true, true},
		{"weak", []string{`W/"abc"`}, `W/"abc"`, true, true},
		{"an empty tag is one (RFC 9110 §8.8.3)", []string{`""`}, `""`, true, true},
		{"blanks around it", []string{` "abc"	`}, `"abc"`, true, true},
		{"without quotes", []string{"abc"}, "", true, false},
		{"w/ in lower case (§8.8.3: case-sensitive)", []string{`w/"abc"`}, "", true, false},
		{"something behind it", []string{`"abc" x`}, "", true, false},
		{"a list (§8.8.3 is none)", []string{`"abc", "def"`}, "", true, false},
		{"two lines", []string{`"abc"`, `"def"`}, "", true, false},
		{"two equal lines", []string{`"abc"`, `"abc"`}, "", true, false},
		{"two empty lines", []string{"", ""}, "", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ReadETag(tt.lines)
			if got.Present != tt.present || got.Usable != tt.usable {
				t.Fatalf("got %+v", got)
			}
			if tt.usable && got.Tag.String() != tt.want {
				t.Errorf("got %s, want %s", got.Tag, tt.want)
			}
		})
	}
}

func TestUntrusted(t *testing.T) {
	none := time.Time{}
	real2023 := time.Unix(1_700_000_000, 123_456_789)
	for _, tt := range []struct {
		name, opaque string
		lastModified time.Time
		want         bool
	}{
		{"the file server's, no time at all", fileServerTag(none, 1234), none, true},
		{"the file server's, no time, empty file", fileServerTag(none, 0), none, true},
		{"the file server's, the epoch itself", fileServerTag(time.Unix(0, 0), 5), none, true},
		{"the file server's, 1 s (Nix, Guix, ostree)", fileServerTag(time.Unix(1, 0), 1<<40), none, true},
		{"the file server's, 1980-01-01 (zip)", fileServerTag(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), 5), none, true},
		{"the file server's, 1980-01-01 01:02:03", fileServerTag(time.Date(1980, 1, 1, 1, 2, 3, 0, time.UTC), 5), none, true},
		{"the file server's, 1980-01-02", fileServerTag(time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC), 5), none, false},
		{"the file server's, a real time", fileServerTag(real2023, 5), none, false},
		{"the file server's, a real time in whole seconds", fileServerTag(real2023.Truncate(time.Second), 5), none, false},
		{"the file server's, a real time, 0 bytes", fileServerTag(real2023, 0), none, false},
		{"an application's 1-1", "1-1", none, false},
		{"an application's v2-3f", "v2-3f", none, false},
		{"an application's abc", "abc", none, false},
		{"nginx", "65538a40-264", none, false},
		{"Apache", "2a-60a3f5b0c8c40", none, false},
		{"empty", "", none, false},
		{"a lone dash", "-", none, false},
		{"no size", "gjdgxs-", none, false},
		{"upper case is not the file server's", "GJDGXS-5", none, false},
		{"two dashes", "gjdgxs-5-6", none, false},
		{"more than an int64", "zzzzzzzzzzzzz-5", none, false},
		{"ours", "cc1." + hex, none, false},
		{"any tag beside a real date", "abc", real2023, false},
		{"any tag beside the second 1", "abc", time.Unix(1, 0), true},
		{"any tag beside the epoch", "abc", time.Unix(0, 0), true},
		{"any tag beside a date before the epoch", "abc", time.Unix(-86400, 0), true},
		{"any tag beside 1980-01-01", "abc", time.Date(1980, 1, 1, 12, 0, 0, 0, time.UTC), true},
		{"any tag beside 1980-01-02", "abc", time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC), false},
		{"the file server's of no time beside a real date", fileServerTag(none, 5), real2023, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Untrusted(tt.opaque, tt.lastModified); got != tt.want {
				t.Errorf("Untrusted(%q, %v) = %t", tt.opaque, tt.lastModified, got)
			}
		})
	}
}

func TestRepair(t *testing.T) {
	for _, tt := range []struct{ line, want string }{ // want empty: nothing certain can be made of it
		{"abc", `"abc"`},
		{" abc\t", `"abc"`},
		{"W/abc", `W/"abc"`},
		{"w/abc", `W/"abc"`},
		{`w/"abc"`, `W/"abc"`},
		{`"abc"`, `"abc"`},
		{`W/"abc"`, `W/"abc"`},
		{`W/""`, `W/""`},
		{"33a64df5-1c", `"33a64df5-1c"`},
		{"'abc'", `"'abc'"`},
		{"*", `"*"`},
		{"", ""},
		{"  ", ""},
		{"W/", ""},
		{"w/", ""},
		{`"abc`, ""},
		{`abc"`, ""},
		{`"abc" "def"`, ""},
		{"abc, def", ""},
		{"abc def", ""},
		{"abc\tdef", ""},
		{"abc\x7f", ""},
		{"abc\x00", ""},
	} {
		got, ok := Repair(tt.line)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("Repair(%q) = %s, %t; want %q", tt.line, got, ok, tt.want)
		}
	}
}

// FuzzRepair: what comes out is an entity tag, stays one, and says what went in.
func FuzzRepair(f *testing.F) {
	for _, s := range []string{"abc", `w/"abc"`, "W/", `a"b`, "\xff", "W/w/x", `W/W/"x"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := Repair(line)
		if !ok {
			if _, wellFormed := httpcond.ParseEntityTag(line); wellFormed {
				t.Fatalf("Repair refuses the entity tag %q", line)
			}
			return
		}
		if again, ok := httpcond.ParseEntityTag(got.String()); !ok || again != got {
			t.Fatalf("Repair(%q) = %s, which is no entity tag", line, got)
		}
		if again, ok := Repair(got.String()); !ok || again != got {
			t.Fatalf("Repair(%q) = %s, and again: %s", line, got, again)
		}
	})
}

func TestSameCoded(t *testing.T) {
	ours := "cc1." + hex
	for _, tt := range []struct {
		named, current string
		want           bool
	}{
		{"abc", "abc", true},
		{"abc-gzip", "abc", true},
		{"abc-zstd", "abc", true},
		{"abc-br", "abc", true},
		{"abc-gzip", "abc-gzip", true},
		{"abc", "abc-gzip", false},
		{"abc-gzip-gzip", "abc", false},
		{"abc-deflate", "abc", false},
		{"abd-gzip", "abc", false},
		{"-gzip", "", true},
		{ours + "-gzip", ours, true},
		{ours + ".s44we8;gzip", ours + ".1", true},
		{ours, "abc", false},
	} {
		if got := SameCoded(tt.named, tt.current); got != tt.want {
			t.Errorf("SameCoded(%q, %q) = %t", tt.named, tt.current, got)
		}
	}
}

// What is made here need not be read again, and is what would be read.
func TestMadeETag(t *testing.T) {
	digest := tag.Digest{1, 2, 3}
	for _, date := range []time.Time{{}, time.Unix(1_700_000_000, 0)} {
		for _, weak := range []bool{false, true} {
			value := digest.Field(weak, date)
			if got, want := MadeETag(value, weak), ReadETag([]string{value}); got != want {
				t.Errorf("%s: %+v, want %+v", value, got, want)
			}
		}
	}
}

func TestUnfounded(t *testing.T) {
	const epoch, usual = "Tue, 01 Jan 1980 00:00:01 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"
	for name, tt := range map[string]struct {
		etag, date []string
		want       bool
	}{
		"nothing":                    {nil, nil, false},
		"a real date":                {nil, []string{usual}, false},
		"a build tool's":             {nil, []string{epoch}, true},
		"in another form":            {nil, []string{"1"}, true},
		"none that is understood":    {nil, []string{"yesterday"}, false},
		"a tag beside it":            {[]string{`"abc"`}, []string{epoch}, true},
		"a tag":                      {[]string{`"abc"`}, []string{usual}, false},
		"file_server's, of no time":  {[]string{`"` + zeroTimePrefix + `5"`}, nil, true},
		"file_server's, weak":        {[]string{`W/"` + zeroTimePrefix + `5"`}, nil, true},
		"file_server's, of 1980":     {[]string{`"` + strconv.FormatInt(315532800*1e9, 36) + `-5"`}, nil, true},
		"file_server's, of 2023":     {[]string{`"` + strconv.FormatInt(1700000000*1e9, 36) + `-5"`}, nil, false},
		"an application's own":       {[]string{`"1-1"`}, nil, false},
		"malformed":                  {[]string{zeroTimePrefix + "5"}, nil, false},
		"a tag of ours":              {[]string{`"cc1.ffffffffffffffffffffffffffffffff"`}, nil, false},
		"a tag of no time, and real": {[]string{`"` + zeroTimePrefix + `5"`}, []string{usual}, true},
	} {
		if got := Unfounded(tt.etag, tt.date, time.Unix(1_800_000_000, 0)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
