package upstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

func TestCodedOf(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
		for _, mark := range []string{"-", "--", ";"} {
			if named := "abc" + mark + coding; !CodedOf(named, "abc") || !SameInWrite(named, "abc") {
				t.Errorf("%s is not taken for a coded form of abc", named)
			}
		}
	}
	for _, tt := range [][2]string{
		{"abc", "abc"},
		{"abc-gzip", "abd"},
		{"abc-gzip-br", "abc"},
		{"abcgzip", "abc"},
		{"abc-", "abc"},
		{"abc-gzip ", "abc"},
		{"abc--gzip", "abc--"},
		{"abc---gzip", "abc"},
		{"-gzip", ""},
		{"abc-lzma", "abc"},
		{"abc", "abc-gzip"},
		{"page-pt-br", "page"},
	} {
		if CodedOf(tt[0], tt[1]) {
			t.Errorf("%s is taken for a coded form of %q", tt[0], tt[1])
		}
	}
	if !CodedOf("page-pt-br", "page-pt") { // cannot be told from one, so the upstream is asked
		t.Error("page-pt-br")
	}
}

func TestNamesCodedForm(t *testing.T) {
	for line, want := range map[string]bool{
		`"abc-gzip"`: true, `"x", "abc;br"`: true, `"abc--zstd"`: true, `W/"abc-gzip"`: false, `"abc"`: false, `"-gzip"`: false,
		`"--gzip"`: false, `*`: false, `abc-gzip`: false, ``: false,
	} {
		if got := NamesCodedForm(httpcond.ParseTagCondition([]string{line}).Tags); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

func TestOfWholeSecond(t *testing.T) {
	at := time.Unix(1700000000, 0)
	seconds := at.Unix()
	for opaque, want := range map[string]bool{
		fmt.Sprintf("%x-26c", seconds):       true, // nginx
		fmt.Sprintf("%X-26C", seconds):       true,
		fmt.Sprintf("26c-%x", seconds):       true,
		"1700000000":                         true,
		"v1700000000;5":                      true,
		"5-1700000000-1":                     true,
		"s44we8-7":                           true, // base 36
		"26c-1700000000.0":                   true,
		"1700000000000-7":                    true, // milliseconds of a file with a whole second
		"1700000000000000000":                true,
		fmt.Sprintf("26c-%x", seconds*1e6):   true, // Apache's microseconds, the same
		"1700000000123-7":                    false,
		"1700000000.5-7":                     false,
		fmt.Sprintf("26c-%x", seconds*1e9):   true, // nanoseconds, the same
		"1700000000123456":                   false,
		"1700000000123456789":                false,
		"17000000001":                        true, // a length of one digit behind it
		fmt.Sprintf("26c-%x", seconds*1e6+1): false,
		fmt.Sprintf("%x-26c", seconds+1):     false,
		"up-1":                               false,
		"":                                   false,
		"0f343b0931126a20f133d67c2b018a3b":   false,
		"1700000000123-1700000000":           true,
	} {
		if got := OfWholeSecond(opaque, at); got != want {
			t.Errorf("%q: %t", opaque, got)
		}
	}
	if OfWholeSecond("1700000000", time.Time{}) || OfWholeSecond("0", time.Unix(0, 0)) {
		t.Error("no date tells of a whole second")
	}
}

func TestReadOwn(t *testing.T) {
	const date, epoch = "Tue, 14 Nov 2023 22:13:20 GMT", "Thu, 01 Jan 1970 00:00:01 GMT"
	strong := func(opaque string) httpcond.EntityTag { return httpcond.EntityTag{Opaque: opaque} }
	for _, tt := range []struct {
		etag, date string
		coded      bool
		want       Own
	}{
		{etag: `"abc"`, want: Own{Tag: strong("abc")}},
		{etag: `"abc"`, date: date, coded: true, want: Own{Tag: strong("abc")}},
		{etag: `"abc-gzip"`, want: Own{Tag: strong("abc-gzip")}},
		{etag: `"abc-gzip"`, coded: true, want: Own{Tag: strong("abc-gzip"), Uncoded: strong("abc")}},
		{etag: `W/"abc-gzip"`, coded: true, want: Own{Tag: httpcond.EntityTag{Weak: true, Opaque: "abc-gzip"}, Uncoded: httpcond.EntityTag{Weak: true, Opaque: "abc"}}},
		{etag: `"6553f100-c"`, date: date, want: Own{Tag: strong("6553f100-c"), OfWholeSecond: true}},
		{etag: `"6553f100-c"`, date: "2023-11-14T22:13:20Z", want: Own{Tag: strong("6553f100-c"), OfWholeSecond: true}},
		{etag: `"6553f100-c"`, want: Own{Tag: strong("6553f100-c")}},
		{etag: `"abc"`, date: epoch},
		{etag: `"abc"`, date: "Mon, 01 Jan 0001 00:00:00 GMT"},
		{etag: zeroTimePrefixTag},
		{etag: `abc`},
		{etag: ``},
	} {
		var lines []string
		if tt.date != "" {
			lines = []string{tt.date}
		}
		if got := ReadOwn([]string{tt.etag}, lines, tt.coded, time.Now()); got != tt.want {
			t.Errorf("ETag %s, Last-Modified %s, coded %t: got %+v, want %+v", tt.etag, tt.date, tt.coded, got, tt.want)
		}
	}
	if got := ReadOwn([]string{`"a"`, `"b"`}, nil, false, time.Now()); got != (Own{}) {
		t.Errorf("two lines: %+v", got)
	}
}

const zeroTimePrefixTag = `"-1fmlvpbbdw2yo-5"`
