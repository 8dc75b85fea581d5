// Package tokens reads the words of a Caddyfile: one argument or several, one out of a few, a size, a duration, the
// options of a block. What it refuses it names with file and line, and says what would be right.
//
// A subdirective is read from its name on: every method that reads expects the reader on the word in front of what it
// reads, and leaves it on the last word that it has read.
package tokens

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// Reader reads words. It moves the dispenser that it is made with, which others may go on to use.
type Reader struct {
	*caddyfile.Dispenser
}

// Place is where a word stands, for errors that show only further on.
type Place struct {
	dispenser caddyfile.Dispenser
}

// Here is where the reader stands.
func (r Reader) Here() Place { return Place{*r.Dispenser} }

// Return goes back to where the reader stood.
func (r Reader) Return(to Place) { *r.Dispenser = to.dispenser }

// File is the name of the file.
func (p Place) File() string { return p.dispenser.File() }

// Line counts from 1.
func (p Place) Line() int { return p.dispenser.Line() }

// At adds file and line to an error, if there is one.
func (p Place) At(err error) error {
	if err == nil {
		return nil
	}
	return p.dispenser.WrapErr(err)
}

// Errf makes an error with file and line.
func (p Place) Errf(format string, args ...any) error { return p.dispenser.Errf(format, args...) }

// At adds file and line of where the reader stands to an error, if there is one.
func (r Reader) At(err error) error {
	if err == nil {
		return nil
	}
	return r.WrapErr(err)
}

// Options are the words of a block, and what reads each: it is called with the reader on the word.
type Options map[string]func() error

// Block reads the block after a subdirective, if there is one. Every option may stand there once, and the repeatable
// ones as often as one likes.
func (r Reader) Block(of string, known Options, repeatable ...string) error {
	seen := make(map[string]bool, len(known))
	for nesting := r.Nesting(); r.NextBlock(nesting); {
		name := r.Val()
		read, ok := known[name]
		if !ok {
			return r.Unrecognized("option of "+of, of+" "+name, names(known))
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return r.Errf("duplicate option %q; write it once", name)
		}
		seen[name] = true
		if err := read(); err != nil {
			return err
		}
		if err := r.NoBlock(name); err != nil {
			return err
		}
	}
	return nil
}

func names(of Options) []string {
	all := make([]string, 0, len(of))
	for name := range of {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Unrecognized refuses the word that the reader stands on. full is the word with what it stands in, as config.IsLater
// knows it.
func (r Reader) Unrecognized(what, full string, known []string) error {
	switch cure := config.Cure(what, r.Val(), known); {
	case config.IsLater(full):
		return r.Errf("%s is not available in this version; remove it", full)
	case cure != "":
		return r.Errf("unrecognized %s: %q; %s", what, r.Val(), cure)
	case len(known) == 1:
		return r.Errf("unrecognized %s: %q; the only one is %s", what, r.Val(), known[0])
	}
	return r.Errf("unrecognized %s: %q; use %s", what, r.Val(), config.List(known))
}

// WordOrBlock is Word, but the word may be left out before a block: then it is the default.
func (r Reader) WordOrBlock(choice config.Choice) (string, error) {
	if _, is := r.block(); is {
		return "", nil
	}
	return r.Word(choice)
}

// Word reads one argument out of a few.
func (r Reader) Word(choice config.Choice) (string, error) {
	args := r.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return "", r.Errf("%s needs a word: %s%s", choice.Of, choice, ifEmpty(args))
	}
	if err := choice.Check(args[0]); err != nil {
		return "", r.refuse(args[0], "%s", err)
	}
	if len(args) > 1 {
		return "", r.Surplus(args[1], choice.Of, "one word")
	}
	return args[0], nil
}

// Text reads one argument that is not empty.
func (r Reader) Text(name, example string) (string, error) {
	args := r.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return "", r.Errf("%s needs a value, such as %s%s", name, example, ifEmpty(args))
	}
	if len(args) == 2 && isUnit(args[0], args[1]) {
		return "", r.Surplus(args[1], name, "one value; write it without the space, "+args[0]+args[1])
	}
	if len(args) > 1 {
		return "", r.Surplus(args[1], name, "one value")
	}
	return args[0], nil
}

// isUnit reports whether two words are a number and what it counts, as in 10 MB.
func isUnit(number, unit string) bool {
	return number != "" && strings.Trim(number, "0123456789.") == "" && unit != "" && len(unit) <= 3 && !strings.ContainsAny(unit[:1], "0123456789.")
}

// Words reads one argument or more, of which none is empty.
func (r Reader) Words(name, example string) ([]string, error) {
	args, err := r.quotable(name, example)
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = arg.Text
	}
	return words, err
}

// quotable reads one argument or more, of which none is empty, where it matters which of them are quoted.
func (r Reader) quotable(name, example string) ([]caddyfile.Token, error) {
	args := r.RemainingArgsAsTokens()
	if len(args) == 0 {
		return nil, r.Errf("%s needs at least one value, such as %s", name, example)
	}
	if slices.ContainsFunc(args, func(arg caddyfile.Token) bool { return arg.Text == "" }) {
		return nil, r.Errf("%s: an empty value means nothing; remove it, or if a {$VARIABLE} gives it, set that", name)
	}
	return args, nil
}

// Ignored reads what `ignore` takes: words, and expressions, which are what is in quotes and no word.
func (r Reader) Ignored() (words, expressions []string, err error) {
	args, err := r.quotable("ignore", "csrf, nonce or a regular expression in quotes")
	for _, arg := range args {
		if arg.Quoted() && !config.IsIgnoreWord(arg.Text) {
			expressions = append(expressions, arg.Text)
		} else {
			words = append(words, arg.Text)
		}
	}
	return words, expressions, err
}

// Nothing refuses arguments.
func (r Reader) Nothing(name string) error {
	if args := r.RemainingArgs(); len(args) > 0 {
		return r.Surplus(args[0], name, "no argument")
	}
	return nil
}

// NoSize is Nothing where a size may be meant that goes into the block, as an option.
func (r Reader) NoSize(name, option string) error {
	args := r.RemainingArgs()
	if len(args) == 0 {
		return nil
	}
	if _, err := humanize.ParseBytes(args[0]); err != nil {
		return r.Surplus(args[0], name, "no argument")
	}
	return r.Surplus(args[0], name, fmt.Sprintf("no argument; write %s { %s %s }%s", name, option, args[0], config.Breaks))
}

// Surplus refuses an argument that is one too many.
func (r Reader) Surplus(arg, name, takes string) error {
	if cure := config.CureOfArgument(arg, name); cure != "" {
		takes += "; " + cure
	} else if !strings.Contains(takes, "; ") {
		takes += "; remove it"
	}
	return r.Errf("unexpected %q: %s takes %s", arg, name, takes)
}

// NoBlock refuses a block where none belongs, even an empty one.
func (r Reader) NoBlock(name string) error {
	if ahead, is := r.block(); is {
		return ahead.Errf("%s takes no block; remove it with its braces", name)
	}
	return nil
}

// block reports whether a block opens behind the last argument, and is where it does. (NextBlock would step over an empty one.)
func (r Reader) block() (ahead caddyfile.Dispenser, is bool) {
	ahead = *r.Dispenser
	return ahead, !ahead.NextLine() && ahead.Next() && ahead.Val() == "{"
}
