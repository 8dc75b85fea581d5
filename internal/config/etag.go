package config

import (
	"errors"

	"github.com/conditionalcache/caddy-conditional-cache/internal/ignore"
)

// ETag is `etag`.
type ETag struct {
	Mode              string
	Hash              string
	Existing          string
	Secret            string
	Ignore            []string
	IgnoreExpressions []string
	Epoch             string
}

// The words of `etag`.
var (
	ETagMode     = Choice{Of: "etag", Words: []string{"auto", "strong", "weak", "off"}, On: "auto"}
	ETagHash     = Choice{Of: "etag hash", Words: []string{"xxh3", "sha256"}}
	ETagExisting = Choice{Of: "etag existing", Words: []string{"keep", "repair", "weaken", "replace", "remove"}}
)

// Check refuses what is wrong in `etag` by itself. It may be asked when a part has been read: what it refuses then, no
// further option puts right.
func (e ETag) Check() error {
	if err := ETagMode.Check(e.Mode); err != nil {
		return err
	}
	if err := ETagHash.Check(e.Hash); err != nil {
		return err
	}
	if err := ETagExisting.Check(e.Existing); err != nil {
		return err
	}
	switch {
	case e.Hash == "xxh3" && e.Secret != "":
		return errors.New("hash xxh3 takes no secret; remove the hash line, or say hash sha256")
	case e.Mode == "off" && (e.Hash == "sha256" || e.Secret != "" || e.Epoch != ""):
		return errors.New("etag off makes no tags, so there is nothing to hash; remove hash, secret and epoch, or write etag auto")
	case e.Mode == "off" && e.Existing == "replace":
		return errors.New("etag off makes no tags, so existing replace has nothing to put in place; write existing remove, or etag auto")
	}
	return e.checkIgnore()
}

func (e ETag) checkIgnore() error {
	switch {
	case !e.ignores():
		return nil
	case e.Mode == "off":
		return errors.New("etag off makes no tags, so ignore has nothing to leave out; remove it, or write etag auto")
	case e.Mode == "strong":
		return errors.New("ignore makes every tag weak, as bodies that differ share one (RFC 9110 §8.8.1); say etag auto or etag weak")
	}
	_, err := ignore.Compile(e.Ignore, e.IgnoreExpressions)
	return err
}

// ignores reports whether anything of a body is left out.
func (e ETag) ignores() bool { return len(e.Ignore)+len(e.IgnoreExpressions) > 0 }

// warnings are about expressions that leave out more, or less, than anybody means.
func (e ETag) warnings() (all []Warning) {
	for _, expression := range e.IgnoreExpressions {
		if text := ignore.Lint(expression); text != "" {
			all = append(all, Warning{Row: NoRow, Of: OfExpression(expression), Text: "etag ignore: " + text})
		}
	}
	return all
}

// IsIgnoreWord reports whether a text is a word of `ignore`, and no expression.
func IsIgnoreWord(text string) bool { return ignore.IsWord(text) }

// OfExpression names an expression of `ignore` as what a warning is about.
func OfExpression(expression string) string { return "etag ignore " + expression }

// withholdsAll reports whether the upstream sees no condition at all, as no validator of its own reaches the client.
func (e ETag) withholdsAll() bool { return e.Existing == "replace" || e.Existing == "remove" }
