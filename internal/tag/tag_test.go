package tag

import (
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"
)

const digest = "0f343b0931126a20f133d67c2b018a3b"

// own is a tag of ours without a date, and dated one with the second 1,700,000,000, which in named counts for somebody.
const (
	own     = "cc1." + digest
	dated   = own + ".s44we8"
	someone = "6q1d0vt2m9hk"
	named   = dated + "." + someone
)

var someDate = time.Unix(1_700_000_000, 0).UTC()

func TestParseRecognisesOurs(t *testing.T) {
	tests := []struct {
		name, opaque string
		date         time.Time
	}{
		{"without a date", own, time.Time{}},
		{"with a date", dated, someDate},
		{"the first second after the epoch", own + ".1", time.Unix(1, 0)},
		{"the last date there is", own + ".38et6qnz", time.Unix(253402300799, 0)},
		{"a second more", own + ".38et6qo0", time.Time{}},
		{"eight digits", own + ".zzzzzzzz", time.Time{}},
		{"suffix of encode", own + "-gzip", time.Time{}},
		{"suffix zstd", own + "-zstd", time.Time{}},
		{"suffix br", own + "-br", time.Time{}},
		{"suffix deflate", own + "-deflate", time.Time{}},
		{"suffix of Jetty", own + "--gzip", time.Time{}},
		{"suffix of Apache", own + ";gzip", time.Time{}},
		{"suffix after a date", dated + "-gzip", someDate},
		{"suffix --gzip after a date", dated + "--gzip", someDate},
		{"suffix ;gzip after a date", dated + ";gzip", someDate},
		{"a date that ends like a coding", own + ".abr", time.Unix(10*36*36+11*36+27, 0)},
		{"a date that is a coding", own + ".gzip", time.Unix(16*36*36*36+35*36*36+18*36+25, 0)},
		{"for somebody", named, someDate},
		{"for somebody, suffix -gzip", named + "-gzip", someDate},
		{"for somebody, suffix --br", named + "--br", someDate},
		{"for somebody, suffix ;zstd", named + ";zstd", someDate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Parse(tt.opaque)
			if !ok {
				t.Fatalf("Parse(%q) does not recognise it", tt.opaque)
			}
			if got.Digest != digest || !got.Date.Equal(tt.date) {
				t.Errorf("Parse(%q) = %+v, want digest %s and date %v", tt.opaque, got, digest, tt.date)
			}
			if forSomebody := strings.Contains(tt.opaque, someone); forSomebody && got.Who != someone || !forSomebody && got.Who != "" {
				t.Errorf("Parse(%q) is for %q", tt.opaque, got.Who)
			}
		})
	}
}

// A near miss is somebody else's tag: taking it for ours would withhold it from the upstream that made
// it.
func TestParseRefusesNearMisses(t *testing.T) {
	tests := []struct{ name, opaque string }{
		{"empty", ""},
		{"the prefix alone", "cc1."},
		{"upper-case hex", "cc1." + strings.ToUpper(digest)},
		{"one upper-case digit", strings.Replace(own, "f1", "F1", 1)},
		{"31 digits", own[:len(own)-1]},
		{"31 digits and a suffix", own[:len(own)-1] + "-gzip"},
		{"33 digits", own + "0"},
		{"not hex", own[:len(own)-1] + "g"},
		{"the next format's number", "cc2." + digest},
		{"an upper-case prefix", "CC1." + digest},
		{"leading space", " " + own},
		{"trailing space", own + " "},
		{"still quoted", `"` + own + `"`},
		{"a date without digits", own + "."},
		{"a date with a leading zero", own + ".0s44we8"},
		{"the epoch itself", own + ".0"},
		{"an upper-case date", own + ".S44WE8"},
		{"nine digits", own + ".1zzzzzzzz"},
		{"a negative date", own + ".-s44we8"},
		{"a date with a plus sign", own + ".+s44we8"},
		{"a date with an underscore", own + ".s_44we8"},
		{"a date with a space", own + ".s44 we8"},
		{"two dates", dated + ".s44we8"},
		{"a suffix before the date", own + "-gzip.s44we8"},
		{"two suffixes", own + "-gzip-br"},
		{"three dashes", own + "---gzip"},
		{"an unknown coding", own + "-lzma"},
		{"an upper-case coding", own + "-GZIP"},
		{"a coding without a mark", own + "gzip"},
		{"a mark without a coding", own + "-"},
		{"for nobody", dated + "."},
		{"for somebody, without a date", own + "." + someone},
		{"for somebody, an empty date", own + ".." + someone},
		{"for somebody, before the date", own + "." + someone + ".s44we8"},
		{"for somebody in 11 digits", named[:len(named)-1]},
		{"for somebody in 13 digits", named + "0"},
		{"for somebody in capitals", dated + "." + strings.ToUpper(someone)},
		{"for somebody, a digit of base 36", dated + ".w" + someone[1:]},
		{"for somebody, a space in it", dated + ". " + someone[1:]},
		{"for two", named + "." + someone},
		{"a suffix before for whom", dated + "-gzip." + someone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := Parse(tt.opaque); ok || got != (Own{}) {
				t.Errorf("Parse(%q) = %+v, %t", tt.opaque, got, ok)
			}
		})
	}
}

func fromHex(tb testing.TB, s string) (d Digest) {
	tb.Helper()
	if n, err := hex.Decode(d[:], []byte(s)); err != nil || n != len(d) {
		tb.Fatalf("%q is no digest: %v", s, err)
	}
	return d
}

func TestField(t *testing.T) {
	tests := []struct {
		name string
		weak bool
		date time.Time
		want string
	}{
		{"strong", false, time.Time{}, `"` + own + `"`},
		{"weak", true, time.Time{}, `W/"` + own + `"`},
		{"strong with a date", false, someDate, `"` + dated + `"`},
		{"weak with a date", true, someDate, `W/"` + dated + `"`},
		{"parts of a second do not count", false, someDate.Add(time.Second - 1), `"` + dated + `"`},
		{"nor does the zone", false, someDate.In(time.FixedZone("", 3600)), `"` + dated + `"`},
		{"the epoch is no date", false, time.Unix(0, 0), `"` + own + `"`},
		{"nor is what lies before", false, time.Unix(-1, 0), `"` + own + `"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fromHex(t, digest).Field(tt.weak, tt.date); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// opaque takes the mark of weakness and the quotes off a field value.
func opaque(tb testing.TB, field string) string {
	tb.Helper()
	s, ok := strings.CutPrefix(strings.TrimPrefix(field, "W/"), `"`)
	s, closed := strings.CutSuffix(s, `"`)
	if !ok || !closed {
		tb.Fatalf("%s is no entity tag", field)
	}
	return s
}

func TestFieldFor(t *testing.T) {
	d := fromHex(t, digest)
	for _, tt := range []struct {
		name string
		weak bool
		date time.Time
		who  string
		want string
	}{
		{"somebody", false, someDate, someone, `"` + named + `"`},
		{"somebody, weak", true, someDate, someone, `W/"` + named + `"`},
		{"nobody", true, someDate, "", `W/"` + dated + `"`},
		{"somebody, without a date", false, time.Time{}, someone, `"` + own + `"`},
		{"somebody, at the epoch", false, time.Unix(0, 0), someone, `"` + own + `"`},
	} {
		if got := d.FieldFor(tt.weak, tt.date, tt.who); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// What Field writes, Parse reads back; the last date is that of the last year HTTP can write.
func TestFieldRoundTrip(t *testing.T) {
	dates := []time.Time{{}, time.Unix(1, 0), someDate, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	for name, m := range makers("") {
		d := m.Digest(Metadata{ContentType: html}, []byte(name))
		for _, date := range dates {
			for _, weak := range []bool{false, true} {
				field := d.Field(weak, date)
				got, ok := Parse(opaque(t, field))
				if !ok || fromHex(t, got.Digest) != d || !got.Date.Equal(date) {
					t.Errorf("%s comes back as %+v, %t", field, got, ok)
				}
			}
		}
	}
}

func TestSame(t *testing.T) {
	another := "cc1." + strings.Repeat("0", digestLen)
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"ours, equal", own, own, true},
		{"ours, dated or not", own, dated, true},
		{"ours, two dates", own + ".1", dated, true},
		{"ours, coded or not", own, own + "-gzip", true},
		{"ours, two codings and a date", dated + "-br", own + ";gzip", true},
		{"ours, for somebody and for nobody", named, dated, true},
		{"ours, for two people", named, own + ".1.000000000000", true},
		{"ours, for somebody, other content", named, another + ".s44we8." + someone, false},
		{"ours, other content", own, another, false},
		{"ours, other content of the same date", dated, another + ".s44we8", false},
		{"foreign, equal", "abc", "abc", true},
		{"foreign, different", "abc", "abd", false},
		{"foreign, coded or not", "abc", "abc-gzip", false},
		{"empty", "", "", true},
		{"ours and foreign", own, "abc", false},
		{"ours and a near miss", own, strings.ToUpper(own), false},
		{"a near miss, equal", "cc2." + digest, "cc2." + digest, true},
		{"a near miss, coded or not", "cc2." + digest, "cc2." + digest + "-gzip", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Same(tt.a, tt.b); got != tt.want {
				t.Errorf("Same(%q, %q) = %t", tt.a, tt.b, got)
			}
			if got := Same(tt.b, tt.a); got != tt.want {
				t.Errorf("not symmetric: Same(%q, %q) = %t", tt.b, tt.a, got)
			}
			if !Same(tt.a, tt.a) || !Same(tt.b, tt.b) {
				t.Error("not reflexive")
			}
		})
	}
}

func TestForAnybody(t *testing.T) {
	for opaque, want := range map[string]string{
		named: own, named + "-gzip": own + "-gzip", named + "--br": own + "--br", dated: dated, own: own, own + "-gzip": own + "-gzip",
		"abc": "abc", "": "", named + "0": named + "0",
	} {
		if got := ForAnybody(opaque); got != want {
			t.Errorf("%s is %s, want %s", opaque, got, want)
		}
	}
}

// pastDate is a date that may be past 9999, with for whom it counts.
var pastDate = regexp.MustCompile(`^\.[1-9a-z][0-9a-z]{6,7}(\.[0-9a-z]+)?`)

// FuzzParse: what Parse accepts, Field writes back, and the result stands for the same content at the
// same date.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", own, dated, own + "-gzip", dated + "--gzip", own + ";br", own + ".0", own + ".1zzzzzzzz", own + ".zzzzzzzz",
		named, named + "-gzip", own + ".s44w20e8--gzip", own + ".s44w20e8." + someone, own + "." + someone, "cc1." + strings.ToUpper(digest), "cc2." + digest, own[:len(own)-1], own + ".-1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !Same(s, s) {
			t.Fatalf("%q is not the same as itself", s)
		}
		got, ok := Parse(s)
		if !ok {
			return
		}
		back := opaque(t, fromHex(t, got.Digest).FieldFor(false, got.Date, got.Who))
		if !Same(s, back) || !Same(back, s) {
			t.Errorf("%q comes back as %q, which is not the same", s, back)
		}
		got.Coded = false
		if again, ok := Parse(back); !ok || again != got {
			t.Errorf("%q is %+v, written back it is %+v", s, got, again)
		}
		// Nothing but a coding's suffix gets lost on the way, and a date past 9999, which is none.
		suffix, ok := strings.CutPrefix(s, back)
		if got.Date.IsZero() {
			suffix = pastDate.ReplaceAllString(suffix, "")
		}
		if !ok || len(suffix) > len("--deflate") {
			t.Errorf("%q comes back as %q", s, back)
		}
	})
}

func TestSameOctets(t *testing.T) {
	another := "cc1." + strings.Repeat("0", digestLen)
	for _, tt := range []struct {
		name, a, b string
		want       bool
	}{
		{"ours, equal", own, own, true},
		{"ours, dated or not", own, dated, true},
		{"ours, coded or not: other octets", own, own + "-gzip", false},
		{"the other way round", dated + "--br", own, false},
		{"ours, coded to the letter", own + "-gzip", own + "-gzip", true},
		{"ours, other content", own, another, false},
		{"foreign, equal", "abc", "abc", true},
		{"foreign, coded or not", "abc", "abc-gzip", false},
		{"ours and foreign", own, "abc", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := SameOctets(tt.a, tt.b); got != tt.want {
				t.Errorf("SameOctets(%q, %q) = %t", tt.a, tt.b, got)
			}
		})
	}
}

func TestParseAndSameAllocateNothing(t *testing.T) {
	coded, foreign := named+"-gzip", "W3Csomething-of-the-upstream-gzip"
	if n := testing.AllocsPerRun(100, func() {
		Parse(own)
		Parse(dated)
		Parse(named)
		Parse(coded)
		Parse(foreign)
		Same(own, coded)
		Same(foreign, own)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse(dated)
	}
}
