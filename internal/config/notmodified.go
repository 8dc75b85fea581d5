package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// NotModified is `not_modified`.
type NotModified struct {
	Keep []string
	Drop []string
}

// impossible are fields of a message with content, or of one transfer.
var impossible = []string{"Content-Length", "Content-Range", "Transfer-Encoding", "Trailer"}

// Check refuses what no 304 may have, or be without. One list may be checked before the other is known.
func (n NotModified) Check() error {
	for _, name := range slices.Concat(n.Keep, n.Drop) {
		if !httpcond.IsToken(name) {
			return fmt.Errorf("not_modified: %q is not a field name such as Set-Cookie%s", name, CureOfField(name))
		}
	}
	if name, found := shared(n.Drop, httpcond.RequiredOnNotModified[:]); found {
		return fmt.Errorf("not_modified: %s cannot be dropped: a 304 must send it if the 200 would (RFC 9110 §15.4.5); remove it", name)
	}
	if name, found := shared(n.Keep, impossible); found {
		return fmt.Errorf("not_modified: %s cannot be kept: it describes a body, and a 304 has none; remove it", name)
	}
	if name, found := shared(n.Keep, n.Drop); found {
		return fmt.Errorf("not_modified: %s is both kept and dropped; name it once", name)
	}
	return nil
}

// shared returns the first of names that is among others, in any case.
func shared(names, others []string) (string, bool) {
	for _, name := range names {
		if slices.ContainsFunc(others, func(other string) bool { return strings.EqualFold(name, other) }) {
			return name, true
		}
	}
	return "", false
}
