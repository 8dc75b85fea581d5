package tokens

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Size reads a number of bytes, with or without a unit, for the option that the reader stands on. example is one for errors.
func (r Reader) Size(example string) (int64, error) {
	name := r.Val()
	word, err := r.Text(name, example)
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(word)
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "too large"), size > math.MaxInt64:
		return 0, r.Errf("%s: %q is too large to be meant; write a size such as %s", name, word, example)
	case err != nil || size == 0:
		return 0, r.refuse(word, "%s: %q is not a size above zero, such as %s", name, word, example)
	}
	return int64(size), nil
}

// Count reads a whole number from 1 to most, for the option that the reader stands on.
func (r Reader) Count(most int) (int, error) {
	name := r.Val()
	word, err := r.Text(name, strconv.Itoa(most))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > most {
		return 0, r.refuse(word, "%s: %q is not a whole number from 1 to %d", name, word, most)
	}
	return n, nil
}

// OnOff reads on or off; nothing means on.
func (r Reader) OnOff(name string) (bool, error) {
	args := r.RemainingArgs()
	switch {
	case len(args) == 0:
		return true, nil
	case args[0] != "on" && args[0] != "off":
		return false, r.Errf("%s: unrecognized %q; use on or off, or nothing, which is on%s", name, args[0], unknownYet(args[0]))
	case len(args) > 1:
		return false, r.Surplus(args[1], name, "on or off")
	}
	return args[0] == "on", nil
}

// Percent reads a percentage.
func (r Reader) Percent(name string) (float64, error) {
	word, err := r.Text(name, "10%")
	if err != nil {
		return 0, err
	}
	if word == "0" { // with any unit it is the same
		return 0, nil
	}
	number, hasUnit := strings.CutSuffix(word, "%")
	percent, err := strconv.ParseFloat(number, 64)
	if !hasUnit || err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, r.refuse(word, "%s: %q is not a percentage such as 10%% or 2.5%%%s", name, word, orPercent(word))
	}
	return percent, nil
}

// orPercent says what a bare number was meant for; empty: it is none.
func orPercent(word string) string {
	if n, err := strconv.ParseFloat(word, 64); err != nil || n < 1 || n > 50 {
		return ""
	}
	return "; write " + word + "%"
}

// inUnits says how a duration in other words is written; empty: it is none.
func inUnits(word string) string {
	if units := config.InUnits(word); units != "" {
		return "; write " + units
	}
	return ""
}

// duration reads a duration with a unit, days included, or a number of seconds, as max-age has it.
func duration(word string) (time.Duration, error) {
	if word != "" && strings.Trim(word, "0123456789") == "" {
		word += "s"
	}
	return caddy.ParseDuration(word)
}

// refuse makes an error about a word. What stands for it may not be known when a Caddyfile is read.
func (r Reader) refuse(word, format string, args ...any) error {
	return r.Here().Errf("%s%s", fmt.Sprintf(format, args...), unknownYet(word))
}

// unknownYet says what is wrong with a word that something else was to take the place of; empty: nothing was.
func unknownYet(word string) string {
	if _, name, found := strings.Cut(word, "{env."); found {
		name, _, _ = strings.Cut(name, "}")
		return fmt.Sprintf("; {env.%s} is not known yet when the file is read: write {$%[1]s}", name)
	}
	if _, argument, found := strings.Cut(word, "{args["); found {
		argument, _, _ = strings.Cut(argument, "]")
		return fmt.Sprintf("; the import gives no argument %s: write import <snippet> <value>", argument)
	}
	if word == "" || strings.HasSuffix(word, "=") || strings.HasSuffix(word, `=""`) {
		return notSet
	}
	return ""
}

// notSet is what an empty value comes from, mostly.
const notSet = "; the value is empty: if a {$VARIABLE} gives it, that is not set"

// ifEmpty is notSet if there is a value, and nothing in it. Without quotes Caddy leaves nothing behind of a variable that is
// not set.
func ifEmpty(args []string) string {
	if len(args) > 0 {
		return notSet
	}
	return ""
}

// Delay reads a duration above zero, or off, which is -1.
func (r Reader) Delay(name string) (config.Delay, error) {
	word, err := r.Text(name, "200ms, or off")
	if err != nil || word == "off" {
		return -1, err
	}
	delay, err := duration(word)
	if err != nil || delay <= 0 {
		return 0, r.refuse(word, "%s: %q is neither a duration above zero, such as 200ms, nor off", name, word)
	}
	return config.Delay(delay), nil
}

// Lifetime reads a duration, whatever it is.
func (r Reader) Lifetime(name string) (caddy.Duration, error) {
	word, err := r.Text(name, "1h")
	if err != nil {
		return 0, err
	}
	lifetime, err := duration(word)
	if err != nil {
		return 0, r.refuse(word, "%s: %q is not a duration such as 1h or 30d%s", name, word, inUnits(word))
	}
	return caddy.Duration(lifetime), nil
}

// Span reads how long validators are remembered; off is not at all.
func (r Reader) Span(name string) (caddy.Duration, error) {
	word, err := r.Text(name, "10m")
	if err != nil || word == "off" {
		return 0, err
	}
	return r.AsSpan(name, word)
}

// instead says what a word that is no duration was meant for; empty: nobody knows.
func instead(name, word string) string {
	switch cure := config.CureOfArgument(word, name); {
	case cure != "":
		return "; " + cure
	case word == "on" && name == "remember":
		return "; write remember alone for the lifetime that the response gives itself"
	}
	return inUnits(word)
}

// AsSpan is Span of a word that has been read.
func (r Reader) AsSpan(name, word string) (caddy.Duration, error) {
	d, err := duration(word)
	switch {
	case err != nil:
		return 0, r.refuse(word, "%s: %q is not a duration such as 90s, 10m or 1d%s", name, word, instead(name, word))
	case d == 0 && name == "remember":
		return 0, r.Errf("remember %s: nothing would last; leave the ttl out for the lifetime that the response gives itself, or say remember off", word)
	case d == 0: // as if it were left out
		return 0, nil
	case !config.IsSpan(d):
		return 0, r.Errf("%s: %s is not a duration of whole seconds from 1s to 365d, such as 10m", name, word)
	}
	return caddy.Duration(d), nil
}

// MaxAge reads the lifetime of the directive's own argument, in whole seconds.
func (r Reader) MaxAge(word string) (seconds string, err error) {
	lifetime, err := duration(word)
	if err != nil {
		if name, value, found := strings.Cut(word, "="); found && name == "max-age" {
			return "", r.refuse(word, "%q is not a max_age such as 90s, 1h or 30d; write conditional_cache %s", word, value)
		}
		return "", r.refuse(word, "%q is not a max_age such as 90s, 1h or 30d%s", word, inUnits(word))
	}
	if lifetime < 0 || lifetime%time.Second != 0 || lifetime/time.Second > math.MaxInt32 {
		return "", r.Errf("max_age %s has to be a whole number of seconds, from 0 to 2147483647, such as 1h", word)
	}
	return strconv.FormatInt(int64(lifetime/time.Second), 10), nil
}

// Store reads the name of a store, and hands what follows to its module.
func (r Reader) Store() (json.RawMessage, error) {
	if !r.NextArg() || r.Val() == "" {
		return nil, r.Errf("store needs a name, such as memory")
	}
	name := r.Val()
	if err := config.CheckStoreName(name); err != nil {
		return nil, r.WrapErr(err)
	}
	module, err := caddyfile.UnmarshalModule(r.Dispenser, validators.StoreNamespace+"."+name)
	if err != nil {
		return nil, err // with file and line
	}
	return caddyconfig.JSONModuleObject(module, "name", name, nil), nil
}

// Key reads what `remember` adds to its keys.
func (r Reader) Key() (string, error) {
	args := r.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "":
		return "", r.Errf("key needs a text, such as {header.X-Api-Key}%s", notSet)
	case len(args) == 0:
		return "", r.Errf("key needs a text, such as {header.X-Api-Key}")
	case len(args) > 1:
		return "", r.Surplus(args[1], "key", "one text; put quotes around one with spaces")
	}
	return args[0], r.At(config.CheckKey(args[0]))
}

// Cookies reads names of cookies.
func (r Reader) Cookies(of config.Cookies) ([]string, error) {
	patterns, err := r.Words(of.Of, of.Example)
	if err != nil {
		return nil, err
	}
	return patterns, r.At(of.Check(patterns))
}
