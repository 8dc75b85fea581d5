package upstream

import (
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/tag"
)

const (
	hex   = "0f343b0931126a20f133d67c2b018a3b"
	own   = `"cc1.` + hex + `"`
	dated = `"cc1.` + hex + `.s44we8"` // carries the second 1,700,000,000
	other = `"cc1.ffffffffffffffffffffffffffffffff.s44we8"`

	ownDate   = "Tue, 14 Nov 2023 22:13:20 GMT" // that second
	someDate  = "Wed, 01 Nov 2023 00:00:00 GMT"
	epochDate = "Thu, 01 Jan 1970 00:00:01 GMT"
)

var (
	embedded = `"` + fileServerTag(time.Time{}, 5) + `"`     // of an embedded file system
	nixStore = `"` + fileServerTag(time.Unix(1, 0), 5) + `"` // of a store that sets every time to 1

	now = time.Unix(1_800_000_000, 0).UTC()
)

// request makes a header map of pairs of a name and a line; a repeated name is one more line.
func request(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// present shows an upstream a request, as a handler does, and returns what it sees.
func present(h http.Header, rules Rules) (http.Header, View) {
	fields := Snapshot(h)
	pre := httpcond.ParsePreconditions(h, now, false)
	seen := maps.Clone(h)
	view := Present(seen, &fields, &pre, rules)
	return seen, view
}

type presentRow struct {
	name  string
	sent  http.Header
	rules Rules
	view  View
	seen  http.Header // nil: as sent
}

func (row presentRow) run(t *testing.T) {
	t.Helper()
	want := row.seen
	if want == nil {
		want = row.sent
	}
	seen, view := present(row.sent, row.rules)
	if view != row.view || !reflect.DeepEqual(seen, want) {
		t.Errorf("sent %v\nthe upstream sees %v (view %d)\nwant              %v (view %d)", row.sent, seen, view, want, row.view)
	}
}

// Design, "What the upstream sees": fields that name no tag of ours go through unchanged.
func TestPresentPassesWhatIsTheUpstreams(t *testing.T) {
	for _, row := range []presentRow{
		{name: "no conditional field", sent: request("Accept", "*/*")},
		{name: "a foreign tag", sent: request("If-None-Match", `"abc"`)},
		{name: "a foreign tag and a date", sent: request("If-None-Match", `W/"abc"`, "If-Modified-Since", someDate)},
		{
			name: "two lines of a list, on one (RFC 9110 §5.3)",
			sent: request("If-None-Match", `"abc"`, "If-None-Match", "*junk", "If-Match", `W/"a"`, "If-Match", `"b"`),
			seen: request("If-None-Match", `"abc", *junk`, "If-Match", `W/"a", "b"`),
		},
		{name: "two lines of a date", sent: request("If-Modified-Since", someDate, "If-Modified-Since", someDate)},
		{name: "a weak tag with encode's suffix", sent: request("If-Match", `W/"abc-gzip"`)},
		{name: "If-None-Match with encode's suffix, which it takes off itself", sent: request("If-None-Match", `"abc-gzip"`)},
		{name: "`*`", sent: request("If-None-Match", "*")},
		{name: "malformed", sent: request("If-None-Match", "abc")},
		{name: "a tag of ours without its quotes is none", sent: request("If-None-Match", strings.Trim(own, `"`))},
		{name: "empty", sent: request("If-None-Match", "")},
		{name: "a near miss of ours", sent: request("If-None-Match", strings.ToUpper(own))},
		{name: "a date", sent: request("If-Modified-Since", someDate)},
		{name: "an invalid date", sent: request("If-Modified-Since", "yesterday")},
		{name: "an epoch in a form that is no HTTP-date", sent: request("If-Modified-Since", "1")},
		{name: "a write's date", sent: request("If-Unmodified-Since", someDate)},
		{name: "If-Match", sent: request("If-Match", `"abc", "def"`)},
		{name: "If-Match `*`", sent: request("If-Match", "*")},
		{name: "a range", sent: request("Range", "bytes=0-9")},
		{name: "a range of a foreign tag", sent: request("Range", "bytes=0-9", "If-Range", `"abc"`)},
		{name: "a range of a date", sent: request("Range", "bytes=0-9", "If-Range", someDate)},
		{
			name: "all of them",
			sent: request("If-Match", `"a"`, "If-None-Match", `"b"`, "If-Modified-Since", someDate,
				"If-Unmodified-Since", someDate, "If-Range", `"a"`, "Range", "bytes=0-9"),
		},
		{name: "undated tags change nothing for foreign ones", sent: request("If-None-Match", `"abc"`), rules: Rules{Undated: true}},
	} {
		t.Run(row.name, row.run)
	}
}

// A date that may have been found here is not the upstream's to judge, which may know another one.
func TestPresentDatesFound(t *testing.T) {
	rules := Rules{DatesFound: true}
	for _, row := range []presentRow{
		{name: "If-Modified-Since", sent: request("If-Modified-Since", someDate), seen: request(), view: Withheld},
		{name: "beside a range", sent: request("If-Modified-Since", someDate, "Range", "bytes=0-9"), seen: request(), view: Withheld},
		{name: "beside If-Match", sent: request("If-Modified-Since", someDate, "If-Match", `"abc"`), seen: request(), view: Withheld},
		{name: "overruled by If-None-Match", sent: request("If-Modified-Since", someDate, "If-None-Match", `"abc"`), seen: request("If-None-Match", `"abc"`)},
		{name: "no date", sent: request("If-Modified-Since", "yesterday", "Range", "bytes=0-9"), seen: request("Range", "bytes=0-9")},
		{name: "a write's date", sent: request("If-Unmodified-Since", someDate)},
		{name: "a range of a date", sent: request("Range", "bytes=0-9", "If-Range", someDate)},
		{name: "a tag", sent: request("If-None-Match", `"abc"`)},
		{name: "a dated tag of ours has the upstream's date", sent: request("If-None-Match", dated), seen: request("If-Modified-Since", ownDate), view: Translated},
	} {
		row.rules = rules
		t.Run(row.name, row.run)
	}
}

// If-Match with the suffix that encode has put on a tag is for us to judge.
func TestPresentWithholdsCodedTags(t *testing.T) {
	for _, tag := range []string{`"abc-gzip"`, `"abc-zstd"`, `"abc-br"`, `"a", "abc-gzip"`} {
		row := presentRow{sent: request("If-Match", tag, "Range", "bytes=0-9"), seen: request(), view: Withheld}
		t.Run(tag, row.run)
	}
}

// One dated tag of ours is what the upstream knows as a date. Design: Range and If-Range are withheld.
func TestPresentTranslates(t *testing.T) {
	translated := request("If-Modified-Since", ownDate)
	for _, row := range []presentRow{
		{name: "alone", sent: request("If-None-Match", dated)},
		{name: "weak", sent: request("If-None-Match", "W/"+dated)},
		{name: "with encode's suffix", sent: request("If-None-Match", strings.TrimSuffix(dated, `"`)+`-gzip"`)},
		{name: "with blanks around it", sent: request("If-None-Match", " "+dated+"\t")},
		{name: "for somebody: whom is the caller's to know", sent: request("If-None-Match", strings.TrimSuffix(dated, `"`)+`.6q1d0vt2m9hk"`)},
		{name: "beside another date, which it overrules (RFC 9110 §13.1.3)", sent: request("If-None-Match", dated, "If-Modified-Since", someDate)},
		{name: "beside an invalid date", sent: request("If-None-Match", dated, "If-Modified-Since", "yesterday")},
		{name: "beside a range", sent: request("If-None-Match", dated, "Range", "bytes=0-9")},
		{name: "beside a range of a foreign tag", sent: request("If-None-Match", dated, "Range", "bytes=0-9", "If-Range", `"abc"`)},
		{name: "beside a range of a date", sent: request("If-None-Match", dated, "Range", "bytes=0-9", "If-Range", someDate)},
		{name: "for an upstream without quotes", sent: request("If-None-Match", dated), rules: Rules{Repaired: bare}},
	} {
		row.view, row.seen = Translated, translated
		t.Run(row.name, row.run)
	}
}

// A tag of ours without a usable date passes alone: another instance of ours may stand behind.
func TestPresentLeavesATagOfOursAlone(t *testing.T) {
	for _, row := range []presentRow{
		{name: "undated", sent: request("If-None-Match", own)},
		{name: "two of ours", sent: request("If-None-Match", dated+", "+other)},
		{name: "two of ours on two lines", sent: request("If-None-Match", dated, "If-None-Match", other)},
		{name: "the same twice", sent: request("If-None-Match", dated+", "+dated)},
		{name: "ours and a foreign one", sent: request("If-None-Match", dated+`, "abc"`)},
		{name: "a foreign one and ours", sent: request("If-None-Match", `"abc", `+dated)},
		{name: "a malformed member beside ours", sent: request("If-None-Match", dated+", abc")},
		{name: "a malformed line beside ours", sent: request("If-None-Match", dated, "If-None-Match", "abc")},
		{name: "an empty line beside ours", sent: request("If-None-Match", dated, "If-None-Match", "")},
		{name: "`*` in a list with ours is malformed", sent: request("If-None-Match", "*, "+dated)},
		{name: "dated, where dates are not used", sent: request("If-None-Match", dated), rules: Rules{Undated: true}},
		{name: "for somebody else than who asks", sent: request("If-None-Match", strings.TrimSuffix(dated, `"`)+`.6q1d0vt2m9hk"`), rules: Rules{Undated: true}},
		{name: "ours and a foreign one, without quotes", sent: request("If-None-Match", own+`, "abc"`), rules: Rules{Repaired: bare}},
	} {
		row.view, row.seen = Alone, request()
		row.seen["If-None-Match"] = row.sent["If-None-Match"]
		t.Run(row.name, row.run)
		row.sent["If-Modified-Since"] = []string{someDate}
		t.Run(row.name+", beside a date", row.run)
		row.sent["Range"] = []string{"bytes=0-9"}
		t.Run(row.name+", beside a range", row.run)
		row.sent["If-Range"] = []string{`"def"`}
		if row.rules.Repaired == nil { // then a range with a tag is judged here
			t.Run(row.name+", beside a range of a tag", row.run)
		}
	}
}

func TestPresentWithholds(t *testing.T) {
	unquote, all := Rules{Repaired: bare}, Rules{WithholdAll: true}
	for _, row := range []presentRow{
		{name: "If-Match of ours", sent: request("If-Match", own)},
		{name: "If-Match of ours, dated, in a list", sent: request("If-Match", `"abc", `+dated)},
		{name: "If-Match of ours, weak", sent: request("If-Match", "W/"+own)},
		{name: "If-Match of ours and a foreign If-None-Match", sent: request("If-Match", own, "If-None-Match", `"abc"`)},
		{name: "If-Match of ours and dates", sent: request("If-Match", own, "If-Modified-Since", someDate, "If-Unmodified-Since", someDate)},
		{name: "If-Range of ours", sent: request("Range", "bytes=0-9", "If-Range", dated)},
		{name: "If-Range of ours on a second line", sent: request("Range", "bytes=0-9", "If-Range", someDate, "If-Range", own)},
		{name: "If-Range of ours and a foreign tag", sent: request("If-None-Match", `"abc"`, "Range", "bytes=0-9", "If-Range", own)},
		{name: "If-Range of ours without Range", sent: request("If-Range", own)},
		{name: "ours beside a foreign If-Match", sent: request("If-None-Match", dated, "If-Match", `"abc"`)},
		{name: "ours beside If-Match `*`", sent: request("If-None-Match", dated, "If-Match", "*")},
		{name: "ours beside If-Unmodified-Since", sent: request("If-None-Match", dated, "If-Unmodified-Since", someDate)},
		{name: "ours beside an invalid If-Unmodified-Since", sent: request("If-None-Match", own, "If-Unmodified-Since", "yesterday")},
		{name: "the tag of an embedded file", sent: request("If-None-Match", embedded)},
		{name: "the tag of an embedded file beside ours", sent: request("If-None-Match", dated+", W/"+embedded)},
		{name: "the tag of a file of the Nix store", sent: request("If-None-Match", `"abc", `+nixStore, "Range", "bytes=0-9")},
		{name: "If-Match of an embedded file", sent: request("If-Match", embedded)},
		{name: "If-Range of an embedded file", sent: request("If-Range", embedded, "Range", "bytes=0-9")},
		{name: "a build tool's date", sent: request("If-Modified-Since", epochDate)},
		{name: "a build tool's date beside a tag", sent: request("If-None-Match", `"abc"`, "If-Modified-Since", epochDate)},
		{name: "a build tool's date beside ours", sent: request("If-None-Match", dated, "If-Modified-Since", epochDate)},
		{name: "the upstream's tags are replaced", sent: request("If-None-Match", `"abc"`), rules: all},
		{name: "… also under a date", sent: request("If-Modified-Since", someDate), rules: all},
		{name: "… also with a tag of ours", sent: request("If-None-Match", dated), rules: all},
		{name: "… also a range", sent: request("Range", "bytes=0-9"), rules: all},
		{name: "If-Match for an upstream without quotes", sent: request("If-Match", `"abc"`), rules: unquote},
		{name: "If-Range for an upstream without quotes", sent: request("Range", "bytes=0-9", "If-Range", `"abc"`), rules: unquote},
	} {
		row.view, row.seen = Withheld, request()
		t.Run(row.name, row.run)
	}
}

// bare are tags that an upstream has sent without quotes.
var bare = func() *Repaired {
	r := new(Repaired)
	for _, opaque := range []string{"abc", "a", "b"} {
		r.Remember(opaque)
	}
	return r
}()

// A tag that came with its quotes keeps them, also beside one that did not: the other way round a
// correct upstream would refuse a write for no reason.
func TestRepairedKnowsWhatItSaw(t *testing.T) {
	for sent, want := range map[string]string{`"other"`: `"other"`, `"abc", "other"`: `abc, "other"`, `W/"other"`: `W/"other"`} {
		h := request("If-Match", sent)
		if bare.Unquote(h); h.Get("If-Match") != want {
			t.Errorf("If-Match: %s became %s, want %s", sent, h.Get("If-Match"), want)
		}
	}
	var none *Repaired
	h := request("If-None-Match", `"abc"`)
	if none.Unquote(h); h.Get("If-None-Match") != `"abc"` {
		t.Errorf("nothing is known, but If-None-Match became %s", h.Get("If-None-Match"))
	}
}

// Under `repair` an upstream gets its tags back in the form it sent them in.
func TestPresentUnquotes(t *testing.T) {
	for _, row := range []presentRow{
		{name: "one", sent: request("If-None-Match", `"abc"`), seen: request("If-None-Match", `abc`)},
		{name: "weak", sent: request("If-None-Match", `W/"abc"`), seen: request("If-None-Match", `W/abc`)},
		{
			name: "two lines become one", sent: request("If-None-Match", `"a" ,`, "If-None-Match", `W/"b"`),
			seen: request("If-None-Match", `a, W/b`),
		},
		{name: "`*` stays", sent: request("If-None-Match", "*")},
		{name: "malformed stays", sent: request("If-None-Match", `abc, "d"`)},
		{name: "too long stays", sent: request("If-None-Match", strings.Repeat(`"a",`, 101))},
		{
			name: "the date goes along", sent: request("If-None-Match", `"abc"`, "If-Modified-Since", someDate),
			seen: request("If-None-Match", "abc", "If-Modified-Since", someDate),
		},
	} {
		row.rules = Rules{Repaired: bare}
		t.Run(row.name, row.run)
	}
}

// A write's conditions, whoever judges them.
func TestUnquote(t *testing.T) {
	for _, tt := range []struct {
		name       string
		sent, want http.Header
	}{
		{"If-Match", request("If-Match", `"abc"`), request("If-Match", "abc")},
		{"If-None-Match", request("If-None-Match", `W/"a", "b"`), request("If-None-Match", "W/a, b")},
		{"both", request("If-Match", `"a"`, "If-None-Match", `"b"`), request("If-Match", "a", "If-None-Match", "b")},
		{"nothing there", request("If-Range", `"a"`), request("If-Range", `"a"`)},
		{"`*`", request("If-Match", "*"), request("If-Match", "*")},
		{"malformed", request("If-Match", "a"), request("If-Match", "a")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if bare.Unquote(tt.sent); !reflect.DeepEqual(tt.sent, tt.want) {
				t.Errorf("got %v, want %v", tt.sent, tt.want)
			}
		})
	}
}

func TestOurs(t *testing.T) {
	for _, tt := range []struct {
		field, want string // empty: none
	}{
		{`"abc"`, ""},
		{``, ""},
		{`*`, ""},
		{own, own},
		{`"abc", W/` + dated + `, ` + own, "W/" + dated},
		{`"CC1.` + hex + `"`, ""},
	} {
		found, ok := Ours(httpcond.ParseTagCondition([]string{tt.field}).Tags)
		if ok != (tt.want != "") || ok && found.String() != tt.want {
			t.Errorf("Ours(%s) = %s, %t; want %q", tt.field, found, ok, tt.want)
		}
	}
}

// Put makes a request what it was: fields that were set are gone, others are back.
func TestPutRestores(t *testing.T) {
	for _, sent := range []http.Header{
		request(),
		request("If-None-Match", dated, "Accept", "*/*"),
		request("If-None-Match", "", "If-None-Match", own, "Range", "bytes=0-"),
		request("If-Match", own, "If-Unmodified-Since", someDate, "If-Modified-Since", someDate, "If-Range", own),
	} {
		h := maps.Clone(sent)
		fields := Snapshot(h)
		for _, name := range names {
			h[name] = []string{"changed"}
		}
		fields.Put(h)
		if !reflect.DeepEqual(h, sent) {
			t.Errorf("got %v, want %v", h, sent)
		}
		if got := fields.Any(); got != (len(fields.Header()) > 0) {
			t.Errorf("Any() = %t of %v", got, fields.Header())
		}
		Remove(h)
		if left := Snapshot(h); left.Any() || len(h["Accept"]) != len(sent["Accept"]) {
			t.Errorf("Remove leaves %v of %v", h, sent)
		}
	}
}

// A field with an empty list is there, and is not a field that is not: Caddy's handlers can leave one.
func TestPutKeepsAnEmptyList(t *testing.T) {
	h := http.Header{"If-None-Match": {}}
	fields := Snapshot(h)
	if !fields.Any() {
		t.Error("an empty list is taken for no field")
	}
	Remove(h)
	fields.Put(h)
	if h["If-None-Match"] == nil {
		t.Error("the empty list is lost")
	}
}

// Design §2: inner instances judge the original conditions.
func TestOriginal(t *testing.T) {
	sent := request("If-None-Match", dated, "If-Modified-Since", someDate, "Range", "bytes=0-9")
	left, view := present(sent, Rules{})
	if view != Translated {
		t.Fatalf("view %d", view)
	}
	without := maps.Clone(sent)
	delete(without, "Range")
	for _, tt := range []struct {
		name           string
		now, original  http.Header
		left, expected http.Header
	}{
		{"nobody touched anything", left, sent, left, sent},
		{
			"a handler in between removed the conditions", request(), sent, left,
			request("If-None-Match", dated, "Range", "bytes=0-9"),
		},
		{
			"a handler in between set a condition", request("If-Match", `"abc"`, "If-Modified-Since", ownDate), sent, left,
			request("If-Match", `"abc"`, "If-None-Match", dated, "If-Modified-Since", someDate, "Range", "bytes=0-9"),
		},
		{
			"a handler in between set another tag", request("If-None-Match", `"abc"`, "If-Modified-Since", ownDate), sent, left,
			request("If-None-Match", `"abc"`, "If-Modified-Since", someDate, "Range", "bytes=0-9"),
		},
		{"nothing was withheld", sent, sent, sent, sent},
		{"all was withheld", request(), sent, request(), sent},
		{"a request without conditions", request(), request(), request(), request()},
		{"a condition that the client has not sent", request("If-Match", "*"), request(), request(), request("If-Match", "*")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fields := Original(Snapshot(tt.now), Snapshot(tt.left), Snapshot(tt.original))
			if got := fields.Header(); !reflect.DeepEqual(got, tt.expected) {
				t.Errorf("got %v, want %v", got, tt.expected)
			}
		})
	}
}

// choice is one thing a client may say in a field, and what that means for the upstream's view.
type choice struct {
	lines                   []string
	ours, datable, mistrust bool
}

var choices = [len(names)][]choice{
	IfMatch: {
		{},
		{lines: []string{"*"}},
		{lines: []string{`"abc"`}},
		{lines: []string{`"abc"`, own}, ours: true},
		{lines: []string{embedded}, mistrust: true},
		{lines: []string{"abc"}},
	},
	IfNoneMatch: {
		{},
		{lines: []string{`"abc"`}},
		{lines: []string{"*"}},
		{lines: []string{""}},
		{lines: []string{dated}, ours: true, datable: true},
		{lines: []string{"W/" + dated}, ours: true, datable: true},
		{lines: []string{own}, ours: true},
		{lines: []string{dated, other}, ours: true},
		{lines: []string{dated + `, "abc"`}, ours: true},
		{lines: []string{"abc, " + dated}, ours: true},
		{lines: []string{nixStore}, mistrust: true},
		{lines: []string{dated + ", " + embedded}, ours: true, mistrust: true},
	},
	IfModifiedSince: {
		{},
		{lines: []string{someDate}},
		{lines: []string{"yesterday"}},
		{lines: []string{epochDate}, mistrust: true},
		{lines: []string{epochDate, epochDate}}, // more than one is invalid (RFC 9110 §13.1.3)
	},
	IfUnmodifiedSince: {{}, {lines: []string{someDate}}},
	IfRange: {
		{},
		{lines: []string{`"abc"`}},
		{lines: []string{someDate}},
		{lines: []string{dated}, ours: true},
		{lines: []string{embedded}, mistrust: true},
	},
	Range: {{}, {lines: []string{"bytes=0-9"}}},
}

// names reports whether a choice has the tag among its members.
func (c choice) names(tag string) bool {
	return strings.Contains(strings.Join(c.lines, ","), tag)
}

// combination is one choice for every field.
type combination [len(names)]choice

func (c *combination) header() http.Header {
	h := request("Accept", "*/*")
	for i, name := range names {
		if c[i].lines != nil {
			h[name] = c[i].lines
		}
	}
	return h
}

// view is the rule book once more, written from the meaning of the choices.
func (c *combination) view(rules Rules) View {
	there := func(i int) bool { return c[i].lines != nil }
	some, mistrust := false, false
	for i := range c {
		some, mistrust = some || there(i), mistrust || c[i].mistrust
	}
	switch {
	case !some:
		return Unchanged
	case rules.WithholdAll, mistrust, c[IfMatch].ours, c[IfRange].ours,
		rules.Repaired != nil && (c[IfMatch].names(`"abc"`) || c[IfRange].names(`"abc"`)),
		c[IfNoneMatch].ours && (there(IfMatch) || there(IfUnmodifiedSince)):
		return Withheld
	case !c[IfNoneMatch].ours:
		return Unchanged
	case c[IfNoneMatch].datable && !rules.Undated:
		return Translated
	}
	return Alone
}

// every calls f with each combination, from the field i on.
func every(c combination, i int, f func(combination)) {
	if i == len(choices) {
		f(c)
		return
	}
	for _, one := range choices[i] {
		c[i] = one
		every(c, i+1, f)
	}
}

func TestPresentEveryCombination(t *testing.T) {
	for _, rules := range []Rules{{}, {Undated: true}, {Repaired: bare}, {WithholdAll: true}} {
		every(combination{}, 0, func(c combination) {
			sent := c.header()
			view := checkPresent(t, sent, rules)
			if want := c.view(rules); view != want {
				t.Fatalf("%+v, sent %v: view %d, want %d", rules, sent, view, want)
			}
		})
	}
}

// FuzzPresent looks for a request of which the upstream sees half. Lines of a field are separated by
// line feeds.
func FuzzPresent(f *testing.F) {
	f.Add(`"a"`, dated, someDate, "", own, "bytes=0-9", byte(0))
	f.Add("", dated+"\n"+other, epochDate, someDate, someDate, "", byte(4))
	f.Add("*", `*, "a`, "0", "x\ny", embedded, "bytes=-1", byte(7))
	f.Fuzz(func(t *testing.T, im, inm, ims, ius, ir, rg string, flags byte) {
		sent := request("Accept", "*/*")
		for i, field := range [...]string{im, inm, ims, ius, ir, rg} {
			if field != "" {
				sent[names[i]] = strings.Split(field, "\n")
			}
		}
		checkPresent(t, sent, Rules{WithholdAll: flags&1 != 0, Undated: flags&2 != 0, Repaired: map[bool]*Repaired{true: bare}[flags&4 != 0]})
	})
}

// joinLists puts the lists on one line each.
func joinLists(h http.Header) {
	for _, list := range []string{"If-Match", "If-None-Match"} {
		if lines, sent := h[list]; sent {
			h[list] = []string{strings.Join(lines, ", ")}
		}
	}
}

// checkPresent checks what holds of every request, above all that no conditional field is withheld
// while another one goes through that the upstream would answer by itself.
func checkPresent(t *testing.T, sent http.Header, rules Rules) View {
	t.Helper()
	before := sent.Clone()
	seen, view := present(sent, rules)
	fields := Snapshot(sent)
	pre := httpcond.ParsePreconditions(sent, now, false)
	if !reflect.DeepEqual(sent, before) {
		t.Fatalf("the client's lines have been changed: %v, were %v", sent, before)
	}
	want := maps.Clone(sent)
	switch view {
	case Unchanged:
		joinLists(want)
		if rules.Repaired != nil {
			want["If-None-Match"] = seen["If-None-Match"]
			if seen["If-None-Match"] == nil {
				delete(want, "If-None-Match")
			}
		}
		if namesOurs(append(pre.IfMatch.Tags, pre.IfNoneMatch.Tags...)) || namesOurs(rangeTag(sent["If-Range"])) {
			t.Fatalf("%v: a tag of ours goes through beside others", sent)
		}
	case Translated:
		Remove(want)
		only, _ := tag.Parse(pre.IfNoneMatch.Tags[0].Opaque)
		want["If-Modified-Since"] = []string{httpcond.FormatDate(only.Date)}
		if len(pre.IfNoneMatch.Tags) != 1 || pre.IfNoneMatch.Malformed > 0 || only.Date.IsZero() || rules.Undated {
			t.Fatalf("%+v: %v is translated", rules, sent)
		}
	case Alone:
		Remove(want)
		want["If-None-Match"] = sent["If-None-Match"]
		if pre.IfMatch.Present || pre.IfUnmodifiedSince.Present {
			t.Fatalf("%v: If-None-Match goes alone, though another field counts", sent)
		}
	case Withheld:
		Remove(want)
	}
	if !reflect.DeepEqual(seen, want) {
		t.Fatalf("%+v, view %d: %v is seen as %v, want %v", rules, view, sent, seen, want)
	}
	if fields.Put(seen); !reflect.DeepEqual(seen, sent) {
		t.Fatalf("afterwards the request is %v, was %v", seen, sent)
	}
	return view
}

// A build tool's date says nothing in If-Unmodified-Since either.
func TestEpochIfUnmodifiedSinceIsWithheld(t *testing.T) {
	h := request("If-Unmodified-Since", epochDate)
	fields, pre := Snapshot(h), httpcond.ParsePreconditions(h, now, false)
	if view := Present(h, &fields, &pre, Rules{}); view != Withheld || h["If-Unmodified-Since"] != nil {
		t.Errorf("view %d, and the upstream sees %v", view, h)
	}
}

// The file server writes a time before 1970 with a minus, which is the sign between its numbers, too.
func TestTimesBefore1970AreUntrusted(t *testing.T) {
	for _, opaque := range []string{"-gjdgxs-c", zeroTimePrefix + "c"} {
		if !Untrusted(opaque, time.Time{}) {
			t.Errorf("%q is trusted", opaque)
		}
	}
}

// Dated is the one tag that Present would translate, but for the rules and what stands beside it.
func TestDated(t *testing.T) {
	const somebody = "6q1d0vt2m9hk"
	for line, who := range map[string]string{
		dated: "", "W/" + dated: "", strings.TrimSuffix(dated, `"`) + "." + somebody + `"`: somebody,
		strings.TrimSuffix(dated, `"`) + "." + somebody + `-gzip"`: somebody,
	} {
		pre := httpcond.ParsePreconditions(request("If-None-Match", line), time.Time{}, false)
		if got, ok := Dated(&pre); !ok || got.Who != who || got.Date.Unix() != 1_700_000_000 {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "*", own, `"abc"`, dated + ", " + other, dated + `, "abc"`} {
		pre := httpcond.ParsePreconditions(request("If-None-Match", line), time.Time{}, false)
		if got, ok := Dated(&pre); ok {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
