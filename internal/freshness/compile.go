package freshness

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// directive is one member of a row: a name and, maybe, seconds or an argument in wire form.
type directive struct {
	name     string
	seconds  int64 // -1: none
	argument string
}

// ParseDuration reads a duration with units, days included; Caddy has one.
type ParseDuration func(string) (time.Duration, error)

// Source is a row as an operator writes it.
type Source struct {
	// Directives are words of one or more directives, separated by spaces or commas. Lifetimes are
	// whole seconds ("max-age=60") or durations ("max-age=1h").
	Directives []string
	// Extension are directives that no RFC here knows; they are passed on as they are.
	Extension []string
	// Existing is what becomes of what the upstream sent.
	Existing Existing
	// Jitter is the percentage by which lifetimes may be shortened, from 1 to 50; 0 is none.
	Jitter float64
}

// Compile checks a row and makes it ready for use. An error says what is wrong and what would be right.
func Compile(src Source, parse ParseDuration) (*Row, error) {
	known, err := parseAll(src.Directives, func(word string) (directive, error) { return parseKnown(word, parse) })
	if err != nil {
		return nil, err
	}
	extension, err := parseAll(src.Extension, parseExtension)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(known, extension)
	if len(known) == 0 && len(src.Extension) == 0 {
		return nil, errors.New("at least one directive is needed, such as max-age=1h")
	}
	if len(extension) == 0 && len(src.Extension) > 0 {
		return nil, errors.New("extension needs at least one directive, such as name or name=value")
	}
	if err := checkTogether(all); err != nil {
		return nil, err
	}
	row := &Row{shared: newVersion(all), personal: newVersion(personal(all)), existing: src.Existing}
	row.jitter, err = compileJitter(src.Jitter, &row.shared.policy)
	if err != nil {
		return nil, err
	}
	return row, nil
}

// compileJitter turns a percentage into hundredths of a percent.
func compileJitter(percent float64, p *policy) (uint64, error) {
	if percent == 0 {
		return 0, nil
	}
	if err := CheckJitter(percent); err != nil {
		return 0, err
	}
	if p.seconds[maxAge] == unsaid && p.seconds[sMaxAge] == unsaid {
		return 0, errors.New("jitter spreads max-age and s-maxage, and the line has neither; add one, or remove jitter")
	}
	return uint64(math.Round(percent * 100)), nil
}

// CheckJitter refuses a percentage that cannot be meant.
func CheckJitter(percent float64) error {
	if hundredths := percent * 100; !(percent >= 1 && percent <= 50) || math.Abs(hundredths-math.Round(hundredths)) > 1e-6 {
		return fmt.Errorf("jitter: %v%% is not a percentage from 1%% to 50%%, with two decimals at most", percent)
	}
	return nil
}

func parseAll(words []string, parse func(string) (directive, error)) ([]directive, error) {
	var all []directive
	for _, word := range words {
		if strings.TrimSpace(word) == "" {
			return nil, errors.New("an empty word is no directive; remove it")
		}
		for _, member := range split(word) {
			d, err := parse(member)
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// split cuts at commas and blanks outside of quotes.
func split(s string) (members []string) {
	start, quoted, escaped := -1, false, false
	for i := range len(s) {
		c := s[i]
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ' ' || c == '\t'):
			if start >= 0 {
				members = append(members, s[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		members = append(members, s[start:])
	}
	return members
}

func parseKnown(word string, parse ParseDuration) (directive, error) {
	name, value, hasValue := strings.Cut(word, "=")
	name = strings.ToLower(name)
	kind, known := httpcond.DirectiveArgument(name)
	if !known {
		return directive{}, unknownDirective(word, name, parse)
	}
	d := directive{name: name, seconds: -1}
	switch kind {
	case httpcond.SecondsArgument:
		seconds, err := parseSeconds(name, value, parse)
		d.seconds = seconds
		return d, err
	case httpcond.FieldsArgument:
		if hasValue {
			argument, err := parseFields(name, value)
			d.argument = argument
			return d, err
		}
	case httpcond.NoArgument:
		if hasValue {
			return d, fmt.Errorf("%s takes no value; write it without %q", name, "="+value)
		}
	}
	return d, nil
}

// unknownDirective says what an unknown word may have been meant for.
func unknownDirective(word, name string, parse ParseDuration) error {
	if _, err := parseSeconds("", word, parse); err == nil {
		return fmt.Errorf("%q is a lifetime and no directive; did you mean max-age=%[1]s?", unquote(word))
	}
	if slices.Contains([]string{"only-if-cached", "max-stale", "min-fresh"}, name) {
		return fmt.Errorf("%s is a directive of requests, and this is the Cache-Control of responses; remove it", name)
	}
	if one := InUnits("1" + name); one != "" {
		return fmt.Errorf("%q is a unit and no directive; a lifetime is one word, such as max-age=%s", word, one)
	}
	if meant := httpcond.MeantDirective(name); meant != "" {
		return fmt.Errorf("unknown Cache-Control directive %q; did you mean %q? (one that RFC 9111, 5861 and 8246 do not know goes under extension)", name, meant)
	}
	return fmt.Errorf("unknown Cache-Control directive %q; a selector is a path (/assets/*), a media type (application/json) or the @name of a response matcher, "+
		"and a directive that RFC 9111, 5861 and 8246 do not know goes under extension", name)
}

// parseSeconds reads delta-seconds (RFC 9111 §1.2.2), or a duration that is a whole number of them.
func parseSeconds(name, value string, parse ParseDuration) (int64, error) {
	value = unquote(value)
	if value == "" {
		return -1, fmt.Errorf("%s needs a lifetime, such as %s=1h", name, name)
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range, it is the nearest number that is not
		return checkSeconds(name, value, seconds)
	}
	lifetime, err := parse(value)
	if err != nil {
		if days := InUnits(value); days != "" {
			return -1, fmt.Errorf("%s: %#q is neither whole seconds nor a duration such as 90s, 1h or 30d; write %s=%s", name, value, name, days)
		}
		return -1, fmt.Errorf("%s: %#q is neither whole seconds nor a duration such as 90s, 1h or 30d", name, value)
	}
	if lifetime%time.Second != 0 {
		return -1, fmt.Errorf("%s: %q is not a whole number of seconds, such as %s=90", name, value, name)
	}
	return checkSeconds(name, value, int64(lifetime/time.Second))
}

// InUnits is a number of weeks, months or years, or of other times in words, as a duration with the units that there are;
// empty: it is none.
func InUnits(value string) string {
	number := strings.TrimRight(value, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 100 {
		return ""
	}
	switch strings.TrimSuffix(value[len(number):], "s") {
	case "w", "week":
		return strconv.Itoa(n*7) + "d"
	case "month", "mo":
		return strconv.Itoa(n*30) + "d"
	case "y", "year":
		return strconv.Itoa(n*365) + "d"
	case "day":
		return number + "d"
	case "hour", "hr":
		return number + "h"
	case "min", "minute":
		return number + "m"
	case "sec", "second":
		return number + "s"
	}
	return ""
}

// checkSeconds refuses what recipients take for stale or for 2^31-1 anyway (RFC 9111 §1.2.2).
func checkSeconds(name, value string, seconds int64) (int64, error) {
	if seconds < 0 {
		return -1, fmt.Errorf("%s: %s is negative; 0 is stale at once", name, value)
	}
	if seconds > math.MaxInt32 {
		return -1, fmt.Errorf("%s: %s is over the 2147483647 seconds that caches count to; write %s=365d", name, value, name)
	}
	return seconds, nil
}

// parseFields reads the list of field names of private="A, B" and no-cache="A" (RFC 9111 §5.2.2.4).
func parseFields(name, value string) (string, error) {
	var fields []string
	for field := range strings.SplitSeq(unquote(value), ",") {
		field = strings.TrimSpace(field)
		if !httpcond.IsToken(field) {
			return "", fmt.Errorf("%s: %#q is not a list of field names such as `%s=\"Set-Cookie\"` "+
				"(in a Caddyfile the whole goes between backquotes)", name, value, name)
		}
		fields = append(fields, field)
	}
	return `"` + strings.Join(fields, ", ") + `"`, nil
}

func parseExtension(word string) (directive, error) {
	name, value, hasValue := strings.Cut(word, "=")
	name = strings.ToLower(name)
	if _, known := httpcond.DirectiveArgument(name); known {
		return directive{}, fmt.Errorf("%s is no extension; write it on the cache_control line itself, as in cache_control %s", name, word)
	}
	if !httpcond.IsToken(name) || hasValue && !httpcond.IsToken(value) && !isQuoted(value) {
		return directive{}, fmt.Errorf("%#q is not a Cache-Control directive; write name, or name=value (RFC 9111 §5.2)", word)
	}
	return directive{name: name, seconds: -1, argument: value}, nil
}

// unquote takes one pair of quotes off; a quote without its partner stays, and is refused as a value.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// isQuoted follows the quoted-string of RFC 9110 §5.6.4.
func isQuoted(s string) bool {
	inner := unquote(s)
	if len(inner) == len(s) {
		return false
	}
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' {
			i++
			if i == len(inner) {
				return false
			}
		} else if inner[i] == '"' {
			return false
		}
		if c := inner[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// contradictions are pairs of which each denies the other (RFC 9111 §5.2.2, RFC 5861 §3 and §4, RFC 8246 §2).
var contradictions = [...][2]string{
	{"public", "private"},
	{"private", "s-maxage"},
	{"immutable", "no-cache"},
	{"immutable", "no-store"},
	{"no-store", "public"},
	{"no-store", "max-age"},
	{"no-store", "s-maxage"},
	{"no-store", "stale-while-revalidate"},
	{"no-store", "stale-if-error"},
}

func checkTogether(all []directive) error {
	seen := make(map[string]directive, len(all))
	for _, d := range all {
		if _, twice := seen[d.name]; twice {
			return fmt.Errorf("%s is given twice; keep one", d.name)
		}
		seen[d.name] = d
	}
	_, lifted := seen["must-understand"] // no-store is for those then who do not understand (RFC 9111 §5.2.2.3)
	for _, pair := range contradictions {
		first, one := seen[pair[0]]
		second, other := seen[pair[1]]
		if lifted && slices.Contains(pair[:], "no-store") {
			continue
		}
		// A lifetime of 0 agrees with no-store, and private="Field" leaves the rest public.
		if one && other && first.argument == "" && second.argument == "" && second.seconds != 0 {
			return fmt.Errorf("%s and %s contradict each other; keep one", pair[0], pair[1])
		}
	}
	return nil
}

// personal is a row for a response that belongs to one user.
func personal(all []directive) []directive {
	own := []directive{{name: "private", seconds: -1}}
	for _, d := range all {
		switch d.name {
		case "public", "s-maxage", "private":
		default:
			own = append(own, d)
		}
	}
	return own
}
