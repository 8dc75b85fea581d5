package httpcond

import "testing"

func TestAcceptsCoding(t *testing.T) {
	for _, tc := range []struct {
		rule  string
		lines []string
		want  bool
	}{
		{"absent: nothing that encode would use", nil, false},
		{"empty: identity only (§12.5.3)", []string{""}, false},
		{"browsers", []string{"gzip, deflate, br, zstd"}, true},
		{"identity is no coding (§12.5.3)", []string{"Identity;q=1"}, false},
		{"star is any coding (§12.5.3)", []string{"*"}, true},
		{"weight zero (§12.4.2)", []string{"gzip;q=0"}, false},
		{"weight 0.000 (§12.4.2)", []string{"gzip ; Q=0.000, *;q=0.0"}, false},
		{"weight 0. (§12.4.2)", []string{"gzip;q=0."}, false},
		{"smallest weight (§12.4.2)", []string{"gzip;q=0.001"}, true},
		{"one of several", []string{"gzip;q=0, br;q=0.5"}, true},
		{"second line (§5.3)", []string{"identity", "br"}, true},
		{"empty members (§5.6.1.2)", []string{" , ,"}, false},
		{"weight behind another parameter", []string{"gzip;x=1;q=0"}, false},
		{"unreadable weight counts as accepted", []string{"gzip;q=no"}, true},
		{"no coding, a weight", []string{";q=1"}, false},
	} {
		if got := AcceptsCoding(tc.lines); got != tc.want {
			t.Errorf("%s: AcceptsCoding(%q) = %v", tc.rule, tc.lines, got)
		}
	}
}

func TestMediaType(t *testing.T) {
	for in, want := range map[string]string{
		"text/html":                        "text/html",
		"Text/HTML; charset=UTF-8":         "text/html",
		" application/problem+json ;x=y/z": "application/problem+json",
		"":                                 "",
		"text":                             "",
		"text/":                            "",
		"/html":                            "",
		"; charset=utf-8":                  "",
		"text/html, text/plain":            "",
		"text/a/b":                         "",
		"text /html":                       "",
		"text/h\u017f":                     "",
	} {
		if got := MediaType(in); got != want {
			t.Errorf("MediaType(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMatchMediaType(t *testing.T) {
	for _, tc := range []struct {
		pattern, contentType string
		want                 bool
	}{
		{"text/html", "Text/HTML; charset=utf-8", true},
		{"text/html", "text/htm", false},
		{"text/*", "text/css", true},
		{"text/*", "TEXT/CSS", true},
		{"text/*", "textual/css", false},
		{"text/*", "", false},
		{"image/*", "text/image", false},
		{"*/*", "x/y", true},
		{"*/*", "", false},
		{"*/*", "nonsense", false},
		{"*", "text/css", false},
		{"text", "text/css", false},
		{"", "text/css", false},
		{"*/css", "text/css", false},
	} {
		if got := MatchMediaType(tc.pattern, tc.contentType); got != tc.want {
			t.Errorf("MatchMediaType(%q, %q) = %v", tc.pattern, tc.contentType, got)
		}
	}
}

func TestOnlyVariesOn(t *testing.T) {
	for _, tc := range []struct {
		lines []string
		want  bool
	}{
		{nil, true},
		{[]string{"", " , "}, true},
		{[]string{"accept-encoding"}, true},
		{[]string{"Accept-Encoding", ",ACCEPT-ENCODING ,"}, true},
		{[]string{"Cookie,     Accept-Encoding"}, false},
		{[]string{"Accept-Encoding", "Cookie"}, false},
		{[]string{"*"}, false},
		{[]string{"Accept-Encoding, *"}, false},
		{[]string{"Accept"}, false},
	} {
		if got := OnlyVariesOn(tc.lines, "Accept-Encoding"); got != tc.want {
			t.Errorf("OnlyVariesOn(%q) = %v", tc.lines, got)
		}
	}
	for vary, want := range map[string]bool{
		"cookie": true, "Authorization, accept-encoding": true, "Cookie, Accept": false, "*": false, "": true,
	} {
		if got := OnlyVariesOn([]string{vary}, "Accept-Encoding", "Cookie", "Authorization"); got != want {
			t.Errorf("OnlyVariesOn(%q, several) = %v", vary, got)
		}
	}
	if OnlyVariesOn([]string{"Coo\u212aie"}, "Cookie") {
		t.Error("names are folded beyond ASCII")
	}
}

func TestVariesOn(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"Accept-Encoding"}, true},
		{[]string{"accept-encoding"}, true},
		{[]string{"Cookie, Accept-Encoding"}, true},
		{[]string{"Cookie,,\tACCEPT-ENCODING ,"}, true},
		{[]string{"Cookie", "Accept-Encoding"}, true},
		{[]string{"*"}, true},
		{[]string{"Cookie, *"}, true},
		{[]string{"Cookie"}, false},
		{[]string{"Accept"}, false},
		{[]string{"X-Accept-Encoding"}, false},
	} {
		if got := VariesOn(tt.lines, "Accept-Encoding"); got != tt.want {
			t.Errorf("VariesOn(%q) = %t", tt.lines, got)
		}
	}
}
