package audit

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestCookieFile: cookies go where curl would send them.
func TestCookieFile(t *testing.T) {
	const file = "# Netscape HTTP Cookie File\n" +
		"\n" +
		"example.com\tFALSE\t/\tFALSE\t0\tonly\t1\n" +
		".example.com\tTRUE\t/\tFALSE\t4102444800\tall\t2\n" +
		"#HttpOnly_example.com\tFALSE\t/\tTRUE\t0\tsecure\t3\r\n" +
		"example.com\tFALSE\t/in\tFALSE\t0\tpath\t4\n" +
		"example.com\tFALSE\t/\tFALSE\t1000000000\told\t5\n" +
		"example.com\tFALSE\t/\tFALSE\t0\tempty\t\n"
	cookies, err := ReadCookies(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	jar := emptyJar()
	for i := range cookies {
		cookies[i].putInto(jar)
	}
	for at, want := range map[string][]string{
		"https://example.com/":     {"all", "empty", "only", "secure"},
		"http://example.com/":      {"all", "empty", "only"},
		"http://example.com/in":    {"all", "empty", "only", "path"},
		"http://www.example.com/":  {"all"},
		"http://www.example.org/":  nil,
		"http://badexample.com/":   nil,
		"https://example.com.org/": nil,
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range jar.Cookies(u) {
			got = append(got, c.Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}

// TestBadCookieFile: the line is named, and what may be secret in it is not repeated.
func TestBadCookieFile(t *testing.T) {
	for name, line := range map[string]string{
		"spaces":    "example.com FALSE / FALSE 0 session s3cret",
		"an expiry": "example.com\tFALSE\t/\tFALSE\tsoon\tsession\ts3cret",
		"no name":   "example.com\tFALSE\t/\tFALSE\t0\t\ts3cret",
		"no domain": "\tFALSE\t/\tFALSE\t0\tsession\ts3cret",
		"JSON":      `{"session": "s3cret"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadCookies(strings.NewReader("# a comment\n" + line + "\n"))
			if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") || strings.Contains(err.Error(), "s3cret") {
				t.Error(err)
			}
		})
	}
}
