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

// Breaks stands behind a block in a message: a message is one line, and Caddy refuses a block on one line.
const Breaks = " (with a line break at each brace)"

// home is where an option stands, and how it is written there.
type home struct{ in, line string }

// homes are those of the options. Their names differ, but existing and store, which stand in two blocks.
var homes = map[string]home{
	"hash": {"etag", "hash sha256"}, "existing": {"etag", "existing replace"}, "ignore": {"etag", "ignore csrf"},
	"secret": {"etag", "secret {env.ETAG_SECRET}"}, "epoch": {"etag", "epoch 2026-07"},
	"from": {"last_modified", "from header X-Updated-At"}, "lenient": {"last_modified", "lenient"},
	"jitter": {"cache_control max-age=1h", "jitter 10%"}, "extension": {"cache_control max-age=1h", "extension name=value"},
	"max_body": {"buffer", "max_body 4MiB"}, "max_delay": {"buffer", "max_delay 200ms"},
	"max_bytes": {"encode_once", "max_bytes 64MiB"}, "minimum_length": {"encode_once", "minimum_length 512"},
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
	"stale":             "write remember 10m { grace 10s }" + Breaks,
	"max_total":         "it is a global option: in the block at the top of the file write conditional_cache { max_total 256MiB }" + Breaks,
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
		return fmt.Sprintf("use %s here; %s goes in the directive conditional_cache, in a site block", List(known), plain)
	case slices.Contains(Subdirectives, plain):
		return fmt.Sprintf("%s goes in the block of conditional_cache itself; write it there", plain)
	case what != Subdirective && isDirective(word):
		return fmt.Sprintf("write it on a cache_control line, as in cache_control %s", exampleOf(word))
	}
	return cureOfPlace(word, plain, known)
}

// cureOfPlace is the cure of a word that has its place elsewhere, or is that of another program.
func cureOfPlace(word, plain string, known []string) string {
	plain = strings.TrimPrefix(plain, "add_") // add_header of nginx
	switch place, is := homes[plain]; {
	case plain == "existing" && !slices.Contains(known, plain):
		return "write etag { existing replace } for the upstream's tags, or cache_control max-age=1h { existing replace } for its Cache-Control" + Breaks
	case is:
		return fmt.Sprintf("it goes in a block, as in %s { %s }%s", place.in, place.line, Breaks)
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

// cureOfMatcher is for what asks about requests, and for a status without its word.
func cureOfMatcher(word string, known []string) string {
	if strings.Trim(strings.TrimSuffix(word, "xx"), "0123456789") == "" {
		return "write status " + word
	}
	switch word {
	case "path", "path_regexp":
		return "a response matcher goes by the status and the fields of a response; write the path on the cache_control line, as in cache_control /assets/* max-age=1h"
	case "host", "method", "query", "protocol", "remote_ip", "client_ip", "file", "not", "expression", "header_regexp", "vars", "vars_regexp":
		return fmt.Sprintf("use %s: a response matcher goes by these alone. For what is in the request write a matcher outside of this block, "+
			"and name it behind the directive: conditional_cache @name { ... }", List(known))
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
	"encode_once", "cache_status", "server_timing", "debug_headers",
}

// CureOfArgument says where a word belongs that stands behind a name which does not take it; empty: nothing is known of it.
func CureOfArgument(word, of string) string {
	place, is := homes[word]
	switch {
	case is && strings.HasPrefix(place.in, of):
		return fmt.Sprintf("%s goes in its block, as in %s { %s }%s", word, place.in, place.line, Breaks)
	case is && word == "existing":
		return fmt.Sprintf("existing goes in its block, as in %s { existing replace }%s", of, Breaks)
	case of == "etag" && slices.Contains(ETagExisting.Words, word):
		return fmt.Sprintf("what becomes of the upstream's tags goes in its block, as in etag { existing %s }%s", word, Breaks)
	case of == "etag" && slices.Contains(ETagHash.Words, word):
		return fmt.Sprintf("the hash goes in its block, as in etag { hash %s }%s", word, Breaks)
	}
	return ""
}

// CureOfField says how a field name is written that comes with a colon or a comma; empty: it does not.
func CureOfField(name string) string {
	switch plain := strings.TrimRight(name, ":,"); {
	case !httpcond.IsToken(plain) || plain == name:
		return ""
	case strings.HasSuffix(name, ","):
		return "; write " + plain + ", and separate several by spaces"
	default:
		return "; write " + plain
	}
}

// CureBesideMaxAge says where a word belongs that stands behind the max_age of the directive.
func CureBesideMaxAge(maxAge, word string) string {
	switch {
	case strings.HasPrefix(word, "/") || strings.HasPrefix(word, "@"):
		return fmt.Sprintf("write conditional_cache %s %s", word, maxAge)
	case maxAge != "off" && isDirective(word):
		return fmt.Sprintf("in place of both write in its block cache_control max-age=%s %s", maxAge, word)
	}
	return "options go in a block"
}
