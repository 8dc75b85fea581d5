package freshness

import (
	"net/http"
	"testing"
	"time"
)

func TestReadKept(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		name   string
		fields http.Header
		want   Kept
	}{
		{"nothing", http.Header{}, Kept{}},
		{"max-age", http.Header{"Cache-Control": {"max-age=60"}}, Kept{Explicit: true, Lifetime: time.Minute}},
		{
			"s-maxage comes first (RFC 9111 §4.2.1) and is not overstepped (§5.2.2.10)",
			http.Header{"Cache-Control": {"max-age=60", "s-maxage=5"}},
			Kept{Explicit: true, Lifetime: 5 * time.Second, Credentials: true, NeverStale: true},
		},
		{"Expires", http.Header{"Expires": {"Wed, 04 Mar 2026 12:00:30 GMT"}}, Kept{Explicit: true, Lifetime: 30 * time.Second}},
		{"Expires that is no date (§5.3)", http.Header{"Expires": {"0"}}, Kept{Explicit: true}},
		{"max-age beside Expires", http.Header{"Expires": {"0"}, "Cache-Control": {"max-age=60"}}, Kept{Explicit: true, Lifetime: time.Minute}},
		{"public", http.Header{"Cache-Control": {"Public"}}, Kept{Public: true, Credentials: true}},
		{"must-revalidate (§3.5)", http.Header{"Cache-Control": {"must-revalidate"}}, Kept{Credentials: true, NeverStale: true}},
		{"proxy-revalidate", http.Header{"Cache-Control": {"proxy-revalidate"}}, Kept{NeverStale: true}},
		{"no-store", http.Header{"Cache-Control": {"no-store"}}, Kept{Refused: true, Unstored: true, Personal: true}},
		{"no-store lifted by must-understand (§5.2.2.3)", http.Header{"Cache-Control": {"no-store, must-understand"}}, Kept{}},
		{"private", http.Header{"Cache-Control": {"public, private"}}, Kept{Refused: true, Personal: true, Public: true, Credentials: true}},
		{"private of a field", http.Header{"Cache-Control": {`private="X-User"`}}, Kept{Refused: true, Personal: true}},
		{"private of cookies", http.Header{"Cache-Control": {`private="set-cookie"`}}, Kept{}},
		{"no-cache of a field", http.Header{"Cache-Control": {`no-cache="etag, set-cookie"`}}, Kept{Refused: true}},
		{"no-cache of cookies", http.Header{"Cache-Control": {`no-cache="set-cookie, Set-Cookie2"`}}, Kept{}},
		{"an open quote", http.Header{"Cache-Control": {`private="set-cookie`}}, Kept{Refused: true, Personal: true}},
		{"Pragma", http.Header{"Pragma": {"no-cache"}, "Expires": {"Wed, 04 Mar 2026 12:00:30 GMT"}}, Kept{Refused: true, Explicit: true, Lifetime: 30 * time.Second}},
		{"Pragma beside Cache-Control", http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=1"}}, Kept{Explicit: true, Lifetime: time.Second}},
	}
	for _, c := range cases {
		before := len(c.fields)
		if got := ReadKept(c.fields, now, now); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		if len(c.fields) != before {
			t.Errorf("%s: fields were added: %v", c.name, c.fields)
		}
	}
}

func TestRefusesSharing(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "max-age=60": false, "no-store": true, "PRIVATE": true, "no-cache": true,
		`content="ESI/1.0", no-store`: true, `content="no-store"`: false, `private="x-user"`: true, `no-cache="etag"`: true, `private="set-cookie"`: false, "no-store-remote": false,
	} {
		if RefusesSharing([]string{line}) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
	if RefusesSharing(nil) {
		t.Error("no field refuses")
	}
}

func TestReadRequestTerms(t *testing.T) {
	cases := []struct {
		fields http.Header
		want   RequestTerms
	}{
		{http.Header{}, RequestTerms{MaxAge: -1, MinFresh: -1}},
		{http.Header{"Pragma": {"no-cache"}}, RequestTerms{NoCache: true, MaxAge: -1, MinFresh: -1}},
		{http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"max-age=5"}}, RequestTerms{MaxAge: 5 * time.Second, MinFresh: -1}},
		{http.Header{"Cache-Control": {"No-Cache, NO-STORE"}}, RequestTerms{NoCache: true, NoStore: true, MaxAge: -1, MinFresh: -1}},
		{http.Header{"Cache-Control": {"max-age=x"}}, RequestTerms{MaxAge: 0, MinFresh: -1}},
		{http.Header{"Cache-Control": {"min-fresh=7"}}, RequestTerms{MaxAge: -1, MinFresh: 7 * time.Second}},
		{http.Header{"Cache-Control": {"min-fresh=x"}}, RequestTerms{NoCache: true, MaxAge: -1}},
		{http.Header{"Cache-Control": {"min-fresh"}}, RequestTerms{NoCache: true, MaxAge: -1}},
	}
	for _, c := range cases {
		if got := ReadRequestTerms(c.fields); got != c.want {
			t.Errorf("%v: got %+v, want %+v", c.fields, got, c.want)
		}
	}
}
