package httpcond

import (
	"strconv"
	"strings"
	"time"
)

// ParseLenientDate reads what ParseDate does, and what is seen in the wild in
// the same place: double quotes around the date, the "; length=" that old browsers
// and Squid append, the zones of RFC 5322 §3.3 and §4.3 (a comment behind them as
// well), names in any case, a missing weekday, one-digit days, dashes or more
// spaces between the parts, RFC 3339 and Unix seconds. Fractions of a second are
// cut off. Everything it accepts names one instant; "yesterday", a time without a
// zone or a date without a time is not understood.
func ParseLenientDate(s string, now time.Time) (time.Time, bool) {
	if t, ok := ParseDate(s, now); ok {
		return t, true
	}
	s = withoutQuotes(withoutLength(withoutQuotes(trimOWS(s))))
	switch digits, rest := cutDigits(s); {
	case digits != "" && rest == "":
		return parseUnixSeconds(digits)
	case digits != "" && rest[0] == '.':
		if rest, ok := cutFraction(rest); ok && rest == "" {
			return parseUnixSeconds(digits)
		}
		return time.Time{}, false
	case len(digits) == 4 && strings.HasPrefix(rest, "-"):
		return parseRFC3339(s)
	}
	s = cutWeekday(s)
	if s != "" && isDigit(s[0]) {
		return parseDayFirst(s, now)
	}
	return parseMonthFirst(s)
}

func withoutQuotes(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return trimOWS(s[1 : len(s)-1])
	}
	return s
}

// withoutLength takes the parameter off that tells how long the stored
// representation is: "; length=1234". What else stands behind a semicolon, nobody
// knows the meaning of.
func withoutLength(s string) string {
	date, parameter, found := strings.Cut(s, ";")
	if !found {
		return s
	}
	name, length, _ := strings.Cut(parameter, "=")
	if digits, rest := cutDigits(trimOWS(length)); digits == "" || rest != "" || !equalFold(trimOWS(name), "length") {
		return s
	}
	return trimOWS(date)
}

// cutFraction takes a fraction of a second off, which begins with a dot or a
// comma (ISO 8601 §5.3.1.4). Where there is none, s is all that is left.
func cutFraction(s string) (rest string, ok bool) {
	if s == "" || s[0] != '.' && s[0] != ',' {
		return s, true
	}
	digits, rest := cutDigits(s[1:])
	return rest, digits != ""
}

// parseUnixSeconds takes up to 12 digits; 13 are milliseconds, which are not
// guessed at. Years past 9999 have no IMF-fixdate.
func parseUnixSeconds(s string) (time.Time, bool) {
	if len(s) > 12 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	t := time.Unix(n, 0).UTC()
	return t, t.Year() <= 9999
}

// parseRFC3339 reads "1994-11-06T08:49:37.5+01:00". A space for the T is
// allowed by RFC 3339 §5.6; a space before the zone is what Ruby and Go print.
func parseRFC3339(s string) (time.Time, bool) {
	if len(s) < len("1994-11-06T08:49:37Z") || s[7] != '-' || !strings.ContainsRune("Tt ", rune(s[10])) {
		return time.Time{}, false
	}
	c := civil{year: number(s[:4]), month: number(s[5:7]), day: number(s[8:10])}
	c.setClock(s[11:19])
	zone, ok := cutFraction(s[19:])
	if !ok {
		return time.Time{}, false
	}
	return c.inZone(trimOWS(zone))
}

// parseDayFirst reads "6 Nov 1994 08:49:37 +0000", with two-digit years by the
// rule of RFC 9110 §5.6.7 and not that of RFC 5322 §4.3 (a pivot at 50): one
// server must not read the same digits in two ways.
func parseDayFirst(s string, now time.Time) (time.Time, bool) {
	const separators = " \t-"
	day, s := cutDigits(s)
	month, s := cutLetters(strings.TrimLeft(s, separators))
	year, s := cutDigits(strings.TrimLeft(s, separators))
	s = strings.TrimLeft(s, " \t")
	if len(day) > 2 || len(year) != 2 && len(year) != 4 || len(s) < 8 {
		return time.Time{}, false
	}
	c := civil{year: number(year), month: anyCaseMonth(month), day: number(day)}
	c.setClock(s[:8])
	if len(year) == 2 {
		c.widenYear(now)
	}
	zone, ok := cutFraction(s[8:])
	if !ok {
		return time.Time{}, false
	}
	return c.inZone(trimOWS(zone))
}

// parseMonthFirst reads asctime with other spacing, case and an optional zone:
// "nov 6 08:49:37 1994".
func parseMonthFirst(s string) (time.Time, bool) {
	month, s := cutLetters(s)
	day, s := cutDigits(strings.TrimLeft(s, " \t"))
	s = strings.TrimLeft(s, " \t")
	if len(day) > 2 || len(s) < 8 {
		return time.Time{}, false
	}
	c := civil{month: anyCaseMonth(month), day: number(day)}
	c.setClock(s[:8])
	s, ok := cutFraction(s[8:])
	year, s := cutDigits(strings.TrimLeft(s, " \t"))
	if !ok || len(year) != 4 {
		return time.Time{}, false
	}
	c.year = number(year)
	if s == "" {
		return c.time(0)
	}
	return c.inZone(trimOWS(s))
}

func (c *civil) inZone(zone string) (time.Time, bool) {
	offset, ok := zoneOffset(zone)
	if !ok {
		return time.Time{}, false
	}
	return c.time(offset)
}

// zoneOffset returns the seconds east of GMT of +0200, +02:00, +02 or a name of
// RFC 5322 §4.3, also of GMT+0200; a comment may follow. The other military letters
// are left out: RFC 5322 says that they were used with both signs.
func zoneOffset(s string) (int, bool) {
	if zone, comment, found := strings.Cut(s, " ("); found && strings.IndexByte(comment, ')') == len(comment)-1 {
		s = trimOWS(zone)
	}
	for _, z := range namedZones {
		if equalFold(s, z.name) {
			return z.hours * 3600, true
		}
	}
	if len(s) > 3 && (equalFold(s[:3], "GMT") || equalFold(s[:3], "UTC")) {
		s = s[3:]
	}
	switch {
	case len(s) == 6 && s[3] == ':':
		return numericZone(s[0], s[1:3], s[4:])
	case len(s) == 5:
		return numericZone(s[0], s[1:3], s[3:])
	case len(s) == 3:
		return numericZone(s[0], s[1:3], "00")
	}
	return 0, false
}

func numericZone(sign byte, hours, minutes string) (int, bool) {
	h, m := number(hours), number(minutes)
	if !inRange(h, 23) || !inRange(m, 59) {
		return 0, false
	}
	switch sign {
	case '+':
		return h*3600 + m*60, true
	case '-':
		return -(h*3600 + m*60), true
	}
	return 0, false
}

var namedZones = [...]struct {
	name  string
	hours int
}{
	{"GMT", 0},
	{"UTC", 0},
	{"UT", 0},
	{"Z", 0},
	{"EST", -5},
	{"EDT", -4},
	{"CST", -6},
	{"CDT", -5},
	{"MST", -7},
	{"MDT", -6},
	{"PST", -8},
	{"PDT", -7},
}

// cutWeekday removes a weekday and the comma behind it, if there is one. A word
// that is no weekday stays, for the month to be read from.
func cutWeekday(s string) string {
	word, rest := cutLetters(s)
	for d := range time.Saturday + 1 {
		if equalFold(word, d.String()) || equalFold(word, d.String()[:3]) {
			return strings.TrimLeft(strings.TrimPrefix(trimOWS(rest), ","), " \t")
		}
	}
	return s
}

func anyCaseMonth(s string) int {
	for m := time.January; m <= time.December; m++ {
		if equalFold(s, m.String()[:3]) {
			return int(m)
		}
	}
	return 0
}

func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func cutLetters(s string) (letters, rest string) {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
		i++
	}
	return s[:i], s[i:]
}
