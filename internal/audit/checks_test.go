package audit

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// noon is the time of these answers.
var noon = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

// answered makes an answer of lines of fields, with a Date.
func answered(status int, body string, lines ...string) *Exchange {
	h := http.Header{"Date": {noon.Format(http.TimeFormat)}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			h.Del(name)
			continue
		}
		h.Add(name, value)
	}
	e := &Exchange{Status: status, Header: h, Now: noon, Sent: http.Header{}}
	_ = e.read(strings.NewReader(body), 1<<20, true)
	return e
}

// observed makes an observation of a page that is the same twice.
func observed(lines ...string) *Observation {
	page := answered(http.StatusOK, "a page", lines...)
	o := &Observation{First: page}
	o.answers[Identity], o.answers[IdentityAgain] = page, page
	return o
}

// with adds an answer.
func (o *Observation) with(p Probe, e *Exchange) *Observation {
	o.answers[p] = e
	return o
}

const (
	tag   = `Etag: "v1"`
	date  = "Last-Modified: Mon, 01 Jun 2026 10:00:00 GMT"
	fresh = "Cache-Control: max-age=60"
)

func again(body string, lines ...string) *Exchange { return answered(http.StatusOK, body, lines...) }

// nearFaults are what is near to a fault and is none, and what is one in another form.
var nearFaults = map[string]struct {
	o    *Observation
	want string
}{
	"good":                              {observed(tag, date, fresh), ""},
	"a weak tag for contents as good":   {observed(`Etag: W/"v1"`).with(IdentityAgain, again("other", `Etag: W/"v1"`)), ""},
	"a strong tag for other contents":   {observed(tag).with(IdentityAgain, again("other", tag)), "stale_tag"},
	"a tag now and then":                {observed(tag).with(IdentityAgain, again("a page")), "unstable_tag"},
	"two tags":                          {observed(tag, `Etag: "v2"`), "malformed_tag"},
	"no-store needs no validator":       {observed("Cache-Control: no-store"), "no_store"},
	"content that changes needs no tag": {observed().with(IdentityAgain, again("other")), "unstable_body"},
	"Expires: 0 beside no-cache":        {observed(tag, "Cache-Control: no-cache", "Expires: 0"), ""},
	"Expires: 0 beside max-age":         {observed(tag, fresh, "Expires: 0"), "expires_contradicts"},
	"Expires as max-age":                {observed(tag, fresh, "Expires: Mon, 01 Jun 2026 12:01:00 GMT"), ""},
	"Expires beside no-cache":           {observed(tag, "Cache-Control: no-cache", "Expires: Mon, 01 Jun 2026 13:00:00 GMT"), "expires_contradicts"},
	"Expires by itself":                 {observed(tag, date, "Expires: Mon, 01 Jun 2026 13:00:00 GMT"), ""},
	"private of a field":                {observed(tag, `Cache-Control: public, private="Set-Cookie", max-age=60`), ""},
	"private and shared":                {observed(tag, "Cache-Control: private, s-maxage=60"), "contradiction"},
	"what nobody may use stale":         {observed(tag, "Cache-Control: no-store, no-cache, must-revalidate, max-age=0"), "no_store"},
	"stored and not stored":             {observed(tag, "Cache-Control: no-store, max-age=60"), "no_store contradiction"},
	"two lifetimes":                     {observed(tag, "Cache-Control: max-age=60, max-age=90"), "contradiction"},
	"one lifetime twice":                {observed(tag, "Cache-Control: max-age=60", "Cache-Control: max-age=60"), ""},
	"a lifetime of half a second":       {observed(tag, "Cache-Control: max-age=0.5"), "malformed_cache_control"},
	"a lifetime in quotes":              {observed(tag, `Cache-Control: max-age="60"`), ""},
	"a directive without its hyphen":    {observed(tag, "Cache-Control: nocache"), "malformed_cache_control"},
	"a directive of one's own":          {observed(tag, "Cache-Control: max-age=60, community=\"UCI\""), ""},
	"a directive with spaces":           {observed(tag, "Cache-Control: max age=60"), "malformed_cache_control"},
	"a date of a build":                 {observed(tag, fresh, "Last-Modified: Tue, 01 Jan 1980 00:00:00 GMT"), "date_epoch"},
	"a date in another zone":            {observed(tag, fresh, "Last-Modified: Mon, 01 Jun 2026 10:00:00 +0200"), "date_malformed"},
	"a date in the form of RFC 850":     {observed(tag, fresh, "Last-Modified: Monday, 01-Jun-26 10:00:00 GMT"), ""},
	"Date itself": {
		observed(tag, fresh, "Last-Modified: "+noon.Format(http.TimeFormat)), "",
	},
	"cookies of a private page": {observed(tag, "Cache-Control: private, max-age=60", "Set-Cookie: a=1"), ""},
	"cookies of a shared page":  {observed(tag, "Cache-Control: s-maxage=60", "Set-Cookie: a=1"), "public_set_cookie"},
	"cookies of a 304":          {observed(tag, fresh).with(TagOne, answered(304, "", tag, "Cache-Control: public, max-age=60", "Set-Cookie: a=1")), "not_modified_changes public_set_cookie"},
	"a 304 with more":           {observed(tag, fresh).with(TagOne, answered(304, "", tag, fresh, date, "Server: x")), ""},
	"a 304 with the weak tag":   {observed(tag, fresh).with(TagOne, answered(304, "", `Etag: W/"v1"`, fresh)), ""},
	"a 304 in another order": {
		observed(tag, "Vary: Cookie, Accept-Encoding").with(TagOne, answered(304, "", tag, "Vary: accept-encoding", "Vary: Cookie")), "",
	},
	"a lifetime that counts down": {
		observed(tag, fresh).with(TagOne, answered(304, "", tag, "Cache-Control: max-age=59")).with(IdentityAgain, again("a page", tag, "Cache-Control: max-age=58")), "",
	},
	"a 304 with the length of the page": {
		observed(tag, fresh, "Content-Length: 6").with(TagOne, answered(304, "", tag, fresh, "Content-Length: 6")), "",
	},
	"a 304 with the length of nothing": {
		observed(tag, fresh, "Content-Length: 6").with(TagOne, answered(304, "", tag, fresh, "Content-Length: 0")), "not_modified_describes",
	},
	"a 304 with a policy without a nonce": {
		observed(tag, fresh).with(TagOne, answered(304, "", tag, fresh, "Content-Security-Policy: default-src 'self'")), "",
	},
	"a part of the whole": {
		observed(tag, "Accept-Ranges: bytes").with(RangeRight, answered(206, "a page", tag, "Content-Range: bytes 0-5/6")), "",
	},
	"a part with another length": {
		observed(tag).with(RangeRight, answered(206, "a page", tag, "Content-Range: bytes 0-5/7")), "range_wrong",
	},
	"no ranges":               {observed(tag).with(RangeRight, answered(200, "a page", tag)), ""},
	"HEAD without a length":   {observed(tag, "Content-Length: 6").with(Head, answered(200, "", tag)), ""},
	"HEAD with another one":   {observed(tag, "Content-Length: 6").with(Head, answered(200, "", tag, "Content-Length: 0")), "head_differs"},
	"HEAD of what changes":    {observed(tag).with(Head, answered(200, "", `Etag: "v2"`)).with(IdentityAgain, again("a page", `Etag: "v3"`)), "unstable_tag"},
	"a coding that is none":   {observed(tag).with(Gzip, answered(200, "a page", tag)), ""},
	"a weak tag for codings":  {observed(`Etag: W/"v1"`, "Vary: *").with(Gzip, answered(200, "coded", `Etag: W/"v1"`, "Content-Encoding: gzip", "Vary: Accept-Encoding")), "vary_star"},
	"a replica with its own":  {observed(tag).replica(again("a page", `Etag: "v2"`)), "replica_tag"},
	"a replica that is weak":  {observed(tag).replica(again("a page", `Etag: W/"v1"`)), ""},
	"a replica that is down":  {observed(tag).replica(&Exchange{Err: errCut}), "unreachable"},
	"a replica in other form": {observed(tag).replica(answered(404, "")), "replica_body"},
	"a miss everywhere":       {observed(tag, "X-Cache: MISS").with(TrackUTM, again("a page", tag, "X-Cache: MISS")), ""},
	"a miss by Age":           {observed(tag, "Age: 5").with(TrackUTM, again("a page", tag, "Age: 0")), "tracking_miss"},
	"a page that has moved on": {
		observed(tag).with(TrackUTM, again("another page", `Etag: "v2"`)), "",
	},
}

// TestChecks: what is found, and nothing else.
func TestChecks(t *testing.T) {
	for name, test := range nearFaults {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range judge(test.o, newSecrets(&Options{})).Findings {
				if f.Evidence == "" {
					t.Errorf("%s has no evidence", f.Kind)
				}
				got = append(got, f.Kind.String())
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("found %q, want %q", text, test.want)
			}
		})
	}
}

func (o *Observation) replica(e *Exchange) *Observation {
	e.Address = "192.0.2.1:80"
	o.Replicas = append(o.Replicas, e)
	return o
}

// TestKinds: each kind has what a report needs, and a name of its own.
func TestKinds(t *testing.T) {
	seen := make(map[string]bool)
	for _, kind := range Kinds() {
		cure := kind.Cure()
		switch {
		case kind.String() == "" || seen[kind.String()]:
			t.Errorf("kind %d has the name %q", kind, kind)
		case kind.Section() == "" || !strings.HasSuffix(kind.Sentence(), "."):
			t.Errorf("%s: %q (%s)", kind, kind.Sentence(), kind.Section())
		case (cure.Caddyfile() == "") != (cure.Reason != "" && !cure.Bare && cure.Lines == ""):
			t.Errorf("%s: %+v", kind, cure)
		}
		seen[kind.String()] = true
	}
}

// TestInline: a cure in one line, for tables.
func TestInline(t *testing.T) {
	for lines, want := range map[string]string{
		"":         "",
		"head get": "head get",
		"etag auto {\n\texisting replace\n}\nlast_modified remove": "etag auto › existing replace; last_modified remove",
	} {
		if got := (Cure{Lines: lines}).Inline(); got != want {
			t.Errorf("%q: %q", lines, got)
		}
	}
}

// TestPlan: every probe asks for something, and only by GET and HEAD.
func TestPlan(t *testing.T) {
	for p := range probes {
		if s := plan[p]; s.name == "" || s.fields == nil || s.method != "" && s.method != http.MethodHead {
			t.Errorf("probe %d: %+v", p, s)
		}
	}
}
