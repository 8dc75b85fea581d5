package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
)

// The blocks that a word may be looked for in, besides those of subdirectives, by their names in errors.
const (
	Subdirective = "subdirective"
	OfMatcher    = "condition of a response matcher"
	OfGlobal     = "option of conditional_cache" // the global option
)

// home is where an option stands, and how it is written there.
type home struct{ in, line string }

// homes are those of the options. Their names differ, but existing and store, which stand in two blocks.
var homes = map[string]home{
	"hash": {"etag", "hash sha256"}, "existing": {"etag", "existing replace"}, "ignore": {"etag", "ignore csrf"},
	"secret": {"etag", "secret {env.ETAG_SECRET}"}, "epoch": {"etag", "epoch 2026-07"},
	"from": {"last_modified", "from header X-Updated-At"}, "lenient": {"last_modified", "lenient"},
	"jitter": {"cache_control max-age=1h", "jitter 10%"}, "extension": {"cache_control max-age=1h", "extension name=value"},
	"max_body": {"buffer", "max_body 4MiB"}, "max_delay": {"buffer", "max_delay 200ms"},
	"max": {"ranges on", "max 16"}, "require": {"guard_writes", "require"},
	"store": {"remember", "store memory"}, "key": {"remember", "key {header.X-Api-Key}"}, "grace": {"remember", "grace 10s"},
	"stale_if_error": {"remember", "stale_if_error 1d"}, "ignore_cookies": {"remember", "ignore_cookies _ga*"},
	"ignore_set_cookie": {"remember", "ignore_set_cookie XSRF-TOKEN"},
	"keep":              {"not_modified", "keep X-Request-Id"}, "drop": {"not_modified", "drop Set-Cookie"},
	"max_entries": {"remember", "store memory { max_entries 100000 }"}, "max_first_seen": {"remember", "store memory { max_first_seen 100000 }"},
	"address": {"remember", "store redis { address localhost:6379 }"},
}

// others are words of other servers and caches, and of the rest of a Caddyfile.
var others = map[string]string{
	"header":            "for Cache-Control write cache_control max-age=1h; other fields are set by Caddy's directive header, outside of this block",
	"if_modified_since": "remove it: dates are compared as RFC 9110 §13.1.3 says, which nginx calls before; for tags alone write last_modified remove",
	"match":             "write @pages header Content-Type text/html*, and cache_control @pages max-age=1h",
	"ttl":               "write remember 10m for how long validators are remembered, or cache_control max-age=10m for how long responses last",
	"stale":             "write remember 10m { grace 10s }",
	"max_total":         "it is a global option: at the top of the file write { conditional_cache { max_total 256MiB } }",
}

// Cure is what to write in place of a word that is not known there; empty: nothing is known of it. what is the block, as
// an error names it, and known are the words that may stand in it.
func Cure(what, word string, known []string) string {
	plain := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	if near := nearest(plain, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	switch {
	case what == OfMatcher:
		return cureOfMatcher(word, known)
	case what == OfGlobal && (slices.Contains(Subdirectives, plain) || homes[plain].in != ""):
		return fmt.Sprintf("here are only %s; %s stands in the directive, in a site block", List(known), plain)
	case slices.Contains(Subdirectives, plain):
		return fmt.Sprintf("%s stands in the block of conditional_cache itself; write it there", plain)
	case what != Subdirective && isDirective(word):
		return fmt.Sprintf("write it on a row, as in cache_control %s", exampleOf(word))
	}
	return cureOfPlace(word, plain, known)
}

// cureOfPlace is the cure of a word that has its place elsewhere, or is that of another program.
func cureOfPlace(word, plain string, known []string) string {
	plain = strings.TrimPrefix(plain, "add_") // add_header of nginx
	switch place, is := homes[plain]; {
	case plain == "existing" && !slices.Contains(known, plain):
		return "write etag { existing replace } for the upstream's tags, or cache_control max-age=1h { existing replace } for its Cache-Control"
	case is:
		return fmt.Sprintf("it stands in a block, as in %s { %s }", place.in, place.line)
	case others[plain] != "":
		return others[plain]
	case isDirective(word):
		return fmt.Sprintf("write cache_control %s", exampleOf(word))
	case isSelector(word) && !strings.HasPrefix(word, "@"):
		return fmt.Sprintf("write cache_control %s max-age=1h", word)
	}
	return ""
}

// isDirective reports whether a word begins as a directive of Cache-Control does, hyphens or not.
func isDirective(word string) bool {
	name, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(word), "_", "-"), "=")
	_, known := httpcond.DirectiveArgument(name)
	return known
}

func exampleOf(word string) string {
	name, value, _ := strings.Cut(word, "=")
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if kind, _ := httpcond.DirectiveArgument(name); kind != httpcond.SecondsArgument {
		return name
	}
	if value == "" {
		value = "1h"
	}
	return name + "=" + value
}

// cureOfMatcher is for what asks about requests.
func cureOfMatcher(word string, known []string) string {
	switch word {
	case "path", "path_regexp":
		return "a response matcher asks for the status and the fields of a response; write the path into the row itself, as in cache_control /assets/* max-age=1h"
	case "host", "method", "query", "protocol", "remote_ip", "client_ip", "file", "not", "expression", "header_regexp", "vars", "vars_regexp":
		return fmt.Sprintf("use %s: a response matcher asks for these of a response. What is asked of a request is a matcher of its own outside "+
			"of this block, and the directive takes it: conditional_cache @name { ... }", List(known))
	}
	return ""
}

// nearest is the one of known that is meant for sure; empty: none is.
func nearest(word string, known []string) string {
	for _, other := range known {
		most := 1
		if len(other) > 7 {
			most = 2
		}
		if len(other) > 3 && httpcond.EditDistance(word, other) <= most {
			return other
		}
	}
	return ""
}

// Subdirectives are the names of all.
var Subdirectives = []string{
	"etag", "last_modified", "cache_control", "expires", "buffer", "head", "ranges", "guard_writes", "remember", "not_modified", "content_location",
	"cache_status", "server_timing", "debug_headers",
}

// CureOfArgument says where a word belongs that stands behind a name which does not take it; empty: nothing is known of it.
func CureOfArgument(word, of string) string {
	place, is := homes[word]
	switch {
	case is && strings.HasPrefix(place.in, of):
		return fmt.Sprintf("%s goes in its block, as in %s { %s }", word, place.in, place.line)
	case is && word == "existing":
		return fmt.Sprintf("existing goes in its block, as in %s { existing replace }", of)
	case of == "etag" && slices.Contains(ETagExisting.Words, word):
		return fmt.Sprintf("what becomes of the upstream's tags goes in its block, as in etag { existing %s }", word)
	case of == "etag" && slices.Contains(ETagHash.Words, word):
		return fmt.Sprintf("the hash goes in its block, as in etag { hash %s }", word)
	}
	return ""
}
