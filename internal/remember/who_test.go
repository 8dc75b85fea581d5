package remember_test

import (
	"testing"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// Tags of one content as it is sent to many, at one date.
const (
	hexOnly   = "cc1.0123456789abcdef0123456789abcdef"
	forNobody = hexOnly + ".t5bv40"
	forAlice  = hexOnly + ".t5bv40.6q1d0vt2m9hk"
	forBob    = hexOnly + ".t5bv40.errohj5663g9"
)

// dated is the second that stands in them.
var dated = time.Unix(1_762_470_720, 0)

// prepared is a visit that has a page for many with a tag, and the memory that it comes to.
func prepared(t *testing.T, s *site, etag string) {
	t.Helper()
	var v remember.Visit
	v.Begin(t.Context(), s.m, s.request("/page", "Cookie: a=b"), s.now)
	v.Detach()
	h := header("Cache-Control: public", "ETag: "+etag)
	v.Judge(h, s.now)
	v.Prepare(remember.Response{Header: h, LastModified: dated, Size: 7})
	v.Save(true)
	v.Leave()
}

// begun is a visit that finds what is remembered.
func begun(t *testing.T, s *site) *remember.Visit {
	t.Helper()
	v := new(remember.Visit)
	v.Begin(t.Context(), s.m, s.request("/page", "Cookie: a=b"), s.now)
	if _, ok := v.Record(); !ok {
		t.Fatal("nothing is remembered")
	}
	return v
}

// A record is shown to many: what its date counts for is nobody's.
func TestRecordsDoNotSayForWhom(t *testing.T) {
	for etag, want := range map[string]string{
		`"` + forAlice + `"`:      `"` + hexOnly + `"`,
		`W/"` + forAlice + `"`:    `W/"` + hexOnly + `"`,
		`"` + forAlice + `-gzip"`: `"` + hexOnly + `-gzip"`,
		`"` + forNobody + `"`:     `"` + forNobody + `"`,
		`"` + hexOnly + `"`:       `"` + hexOnly + `"`,
		`W/"upstreams.own"`:       `W/"upstreams.own"`,
		`malformed`:               ``,
	} {
		s := newSite(t, time.Minute)
		prepared(t, s, etag)
		if record, _ := begun(t, s).Record(); record.ETag != want {
			t.Errorf("of %s the record has %s, want %s", etag, record.ETag, want)
		}
	}
}

// A busy page is not written anew because it was sent to another one.
func TestWhoeverItIsSentToItIsTheSame(t *testing.T) {
	s := newSite(t, time.Minute)
	for _, etag := range []string{forAlice, forBob, forNobody, forAlice, hexOnly} {
		prepared(t, s, `"`+etag+`"`)
	}
	if s.store.saves != 1 {
		t.Errorf("%d saves", s.store.saves)
	}
	prepared(t, s, `W/"`+forAlice+`"`)
	if s.store.saves != 2 {
		t.Error("a tag that has become weak was not written")
	}
}

func TestCutOffOfTheSameLeavesTheRecord(t *testing.T) {
	s := newSite(t, time.Minute)
	prepared(t, s, `"`+forNobody+`"`)
	v := begun(t, s)
	v.Detach()
	h := header("Cache-Control: public", `ETag: "`+forBob+`"`)
	v.Judge(h, s.now)
	v.Prepare(remember.Response{Header: h, LastModified: dated, Size: 7})
	v.Save(false)
	begun(t, s)
}

// The date that a record's tag had confirms it still, if it was a strong one.
func TestConfirmedByADateForSomebody(t *testing.T) {
	for _, tt := range []struct {
		name, etag, named string
		now               time.Time
		want              bool
	}{
		{"one's own", forAlice, forAlice, noon, true},
		{"another's", forAlice, forBob, noon, true},
		{"nobody's", forAlice, forNobody, noon, true},
		{"of nobody's record", forNobody, forBob, noon, true},
		{"without a date", forAlice, hexOnly, noon, false},
		{"another date", forAlice, hexOnly + ".t5bv41.6q1d0vt2m9hk", noon, false},
		{"another content", forAlice, "cc1.ffffffffffffffffffffffffffffffff.t5bv40.6q1d0vt2m9hk", noon, false},
		{"a date that was no strong one", hexOnly, forAlice, dated, false},
	} {
		s := newSite(t, time.Minute)
		s.now = tt.now
		prepared(t, s, `"`+tt.etag+`"`)
		if got := begun(t, s).NamesDated(tt.named); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// The head of a HEAD that was sent to somebody is that of the page.
func TestHeadOfTheSameForSomebody(t *testing.T) {
	s := newSite(t, time.Minute)
	prepared(t, s, `"`+forAlice+`"`)
	v := begun(t, s)
	for etag, want := range map[string]bool{forAlice: false, forBob: false, forNobody: false, hexOnly: false, "cc1.ffffffffffffffffffffffffffffffff": true} {
		if got := v.Differs(header(`ETag: "`+etag+`"`), time.Time{}); got != want {
			t.Errorf("%s differs: %v", etag, got)
		}
	}
}
