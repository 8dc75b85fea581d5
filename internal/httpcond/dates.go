package httpcond

import (
	"net/http"
	"strings"
	"time"
)

// buildEpochEnd is the first instant that a Last-Modified may name. Before it
// lie the constants of build tools that erase timestamps: 0 (embedded files),
// 1 (Nix), 1980-01-01 (zip, the earliest date that MS-DOS knows).
const buildEpochEnd = 315619200 // 1980-01-02T00:00:00Z

// BuildEpoch reports whether t is a timestamp of a build tool rather than of a
// change, that is before 1980-01-02 UTC. The zero time is one.
func BuildEpoch(t time.Time) bool { return t.Unix() < buildEpochEnd }

// StrongDate reports whether a Last-Modified is a strong validator: the
// response's Date is at least one second later, so a second change within the
// same second would have shown (RFC 9110 §8.8.2.2). Zero times are not.
func StrongDate(lastModified, date time.Time) bool {
	if lastModified.IsZero() || date.IsZero() {
		return false
	}
	return date.Sub(lastModified) >= time.Second
}

// FormatDate returns t as IMF-fixdate in GMT (RFC 9110 §5.6.7), fractions cut
// off. The year has to be 0 to 9999, as the format has no room for others;
// every date this package parses is.
func FormatDate(t time.Time) string {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	var b [len(http.TimeFormat)]byte
	copy(b[:], http.TimeFormat) // for what stands between
	copy(b[0:3], daysOfWeek[3*int(t.Weekday()):])
	put(b[5:7], day)
	copy(b[8:11], monthsOfYear[3*(int(month)-1):])
	put(b[12:16], year)
	put(b[17:19], hour)
	put(b[20:22], minute)
	put(b[23:25], second)
	return string(b[:])
}

const (
	daysOfWeek   = "SunMonTueWedThuFriSat"
	monthsOfYear = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// put writes a number in decimal digits, as many as there is room for.
func put(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10) //nolint:gosec // one digit
		n /= 10
	}
}

// ParseDate reads an HTTP-date in the three forms a recipient has to accept
// (RFC 9110 §5.6.7), and nothing else: IMF-fixdate, RFC 850 with its two-digit
// year, asctime; optional whitespace around it allowed. Names are
// case-sensitive, the zone is GMT. The weekday has to be one but not the right
// one: it carries no information. The result is UTC, in whole seconds.
//
// now is the middle of the hundred years that a two-digit year can mean.
func ParseDate(s string, now time.Time) (time.Time, bool) {
	s = trimOWS(s)
	if len(s) < len(asctimeForm) {
		return time.Time{}, false
	}
	switch {
	case s[3] == ',':
		return parseIMFFixdate(s)
	case s[3] == ' ':
		return parseAsctime(s)
	}
	return parseRFC850(s, now)
}

// The forms of RFC 9110 §5.6.7, to read the offsets below by.
const (
	imfFixdateForm = "Sun, 06 Nov 1994 08:49:37 GMT"
	rfc850Form     = " 06-Nov-94 08:49:37 GMT" // behind "Sunday,"
	asctimeForm    = "Sun Nov  6 08:49:37 1994"
)

func parseIMFFixdate(s string) (time.Time, bool) {
	if len(s) != len(imfFixdateForm) || !isShortWeekday(s[:3]) || s[3:5] != ", " ||
		s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || s[25:] != " GMT" {
		return time.Time{}, false
	}
	c := civil{year: number(s[12:16]), month: shortMonth(s[8:11]), day: number(s[5:7])}
	c.setClock(s[17:25])
	return c.time(0)
}

func parseRFC850(s string, now time.Time) (time.Time, bool) {
	weekday, s, _ := strings.Cut(s, ",")
	if len(s) != len(rfc850Form) || !isLongWeekday(weekday) || s[0] != ' ' ||
		s[3] != '-' || s[7] != '-' || s[10] != ' ' || s[19:] != " GMT" {
		return time.Time{}, false
	}
	c := civil{year: number(s[8:10]), month: shortMonth(s[4:7]), day: number(s[1:3])}
	c.setClock(s[11:19])
	c.widenYear(now)
	return c.time(0)
}

func parseAsctime(s string) (time.Time, bool) {
	if len(s) != len(asctimeForm) || !isShortWeekday(s[:3]) ||
		s[7] != ' ' || s[10] != ' ' || s[19] != ' ' {
		return time.Time{}, false
	}
	day := s[8:10]
	if day[0] == ' ' {
		day = day[1:]
	}
	c := civil{year: number(s[20:]), month: shortMonth(s[4:7]), day: number(day)}
	c.setClock(s[11:19])
	return c.time(0)
}

// civil is a date as written. A part that was no number is -1 and a month that
// was none is 0, so time refuses them together with the parts out of range.
type civil struct {
	year, month, day     int
	hour, minute, second int
}

// setClock reads "08:49:37", no fractions.
func (c *civil) setClock(s string) {
	if len(s) != 8 || s[2] != ':' || s[5] != ':' {
		c.hour = -1
		return
	}
	c.hour, c.minute, c.second = number(s[:2]), number(s[3:5]), number(s[6:])
}

// widenYear turns a two-digit year into the latest one that leaves the date at
// most 50 years ahead of now. RFC 9110 §5.6.7: what appears to be more than 50
// years in the future is the most recent year in the past with these digits. A
// fixed pivot, as in time.Parse (69), is wrong for half of all servers to come.
func (c *civil) widenYear(now time.Time) {
	if c.year < 0 {
		return
	}
	now = now.UTC()
	limit := now.AddDate(50, 0, 0)
	c.year += now.Year()/100*100 + 100
	for c.naive().After(limit) {
		c.year -= 100
	}
}

// naive is the instant with excess days and the like carried over.
func (c *civil) naive() time.Time {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC)
}

// time returns the instant of a date written in a zone that is offset seconds
// east of GMT. Second 60 is accepted where leap seconds are, at midnight UTC
// (RFC 9110 §5.6.7 names 23:59:60), and becomes the second after.
func (c *civil) time(offset int) (time.Time, bool) {
	if c.year < 0 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > daysIn(c.year, c.month) ||
		!inRange(c.hour, 23) || !inRange(c.minute, 59) || !inRange(c.second, 60) {
		return time.Time{}, false
	}
	t := c.naive().Add(-time.Duration(offset) * time.Second)
	if c.second == 60 && t.Unix()%86400 != 0 {
		return time.Time{}, false
	}
	return t, inRange(t.Year(), 9999)
}

func inRange(n, last int) bool { return 0 <= n && n <= last }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// number reads decimal digits, at most 9 of them; anything else is -1.
func number(s string) int {
	if s == "" || len(s) > 9 {
		return -1
	}
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// shortMonth returns 1 to 12, or 0 for what is not a month's short name.
func shortMonth(s string) int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	i := strings.Index(names, s)
	if len(s) != 3 || i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}

func isShortWeekday(s string) bool {
	switch s {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

func isLongWeekday(s string) bool {
	for d := range time.Saturday + 1 {
		if d.String() == s {
			return true
		}
	}
	return false
}

// DateCondition is an If-Modified-Since or If-Unmodified-Since field. The zero
// value is an absent field; present but not valid is one that RFC 9110 §13.1.3
// and §13.1.4 tell to ignore.
type DateCondition struct {
	Present bool
	Valid   bool
	// Loose tells that it is valid, but no HTTP-date: only leniency has understood it.
	Loose bool
	// Time is in UTC and in whole seconds, and means nothing unless Valid.
	Time time.Time
}

// ParseDateCondition reads the lines of one date field. More than one line is
// more than one member, which makes the field invalid even when all agree
// (RFC 9110 §13.1.3, §13.1.4). lenient accepts what ParseLenientDate does.
func ParseDateCondition(lines []string, now time.Time, lenient bool) DateCondition {
	switch {
	case len(lines) == 0:
		return DateCondition{}
	case len(lines) > 1:
		return DateCondition{Present: true}
	}
	c := DateCondition{Present: true}
	if c.Time, c.Valid = ParseDate(lines[0], now); !c.Valid && lenient {
		c.Time, c.Valid = ParseLenientDate(lines[0], now)
		c.Loose = c.Valid
	}
	return c
}

// LastModified returns the modification date of a response from its
// Last-Modified lines, read with ParseLenientDate: what upstreams send by
// mistake is still what they meant. Of several lines the latest date counts,
// since an earlier one would let a stale copy pass for current. A date later
// than the response's Date becomes Date (RFC 9110 §8.8.2.1). A build epoch says
// nothing about changes and is not ok, and neither is a field without any
// readable date. A zero date means now.
func LastModified(lines []string, date, now time.Time) (t time.Time, ok bool) {
	for _, line := range lines {
		if lm, valid := ParseLenientDate(line, now); valid && (!ok || lm.After(t)) {
			t, ok = lm, true
		}
	}
	if date.IsZero() {
		date = now
	}
	if t.After(date) {
		t = date.UTC().Truncate(time.Second)
	}
	if !ok || BuildEpoch(t) {
		return time.Time{}, false
	}
	return t, true
}
