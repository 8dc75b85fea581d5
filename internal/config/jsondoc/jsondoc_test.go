package jsondoc

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

const root = "../../.."

var update = flag.Bool("update", false, "write docs/json.md")

// TestPage: the page is what the types say.
func TestPage(t *testing.T) {
	want, err := Page(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "json.md")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the types say now; go test ./internal/config/jsondoc -update writes it", path)
	}
	for _, typ := range Types {
		if !strings.Contains(page, `{{table "`+typ.Title+`"}}`) {
			t.Errorf("json.md.tmpl has no table of %q", typ.Title)
		}
	}
}

// TestChoices: the words that doc comments explain are those that are taken.
func TestChoices(t *testing.T) {
	choices := map[string]config.Choice{
		"Handler.expires": config.Expires, "Handler.head": config.Head,
		"etag.mode": config.ETagMode, "etag.hash": config.ETagHash, "etag.existing": config.ETagExisting,
		"etag.ignore": {Words: []string{"csrf", "nonce"}}, "last_modified.mode": config.LastModifiedMode,
		"cache_control.existing": config.RowExisting, "ranges.mode": config.RangesMode,
	}
	for _, m := range all(t) {
		want, said := slices.Sorted(slices.Values(choices[m.path].Words)), slices.Sorted(slices.Values(m.Choice))
		if !slices.Equal(want, said) {
			t.Errorf("%s: its doc comment explains %q, and %q are taken", m.path, said, want)
		}
		delete(choices, m.path)
	}
	for path := range choices {
		t.Errorf("%s is no member", path)
	}
}

// TestWords: the words of the Caddyfile that the page names are in the grammar.
func TestWords(t *testing.T) {
	grammar, err := Grammar(root)
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`([a-z_]+)[ `]")
	for _, m := range all(t) {
		found := word.FindAllStringSubmatch(m.Caddyfile, -1)
		if found == nil && m.Caddyfile != none && m.Caddyfile != "`@<name>`" {
			t.Errorf("%s: no word in %q", m.path, m.Caddyfile)
		}
		for _, w := range found {
			if !regexp.MustCompile(`\b` + w[1] + `\b`).MatchString(grammar) {
				t.Errorf("%s: the grammar has no %s", m.path, w[1])
			}
		}
	}
}

// TestComplete: each member that is no object says its default.
func TestComplete(t *testing.T) {
	withoutDefault := regexp.MustCompile(`^(list of )?\[`)
	oneOfSeveral := []string{
		"last_modified: from.header", "last_modified: from.json", "last_modified: from.file", "cache_control.path", "cache_control.media_type",
		"cache_control.response_matcher", "cache_control.directives", "cache_control.extension",
	}
	for _, m := range all(t) {
		if m.Default == "" && !withoutDefault.MatchString(m.Type) && !slices.Contains(oneOfSeveral, m.path) {
			t.Errorf("%s: its doc comment does not say the default", m.path)
		}
		if words := len(strings.Fields(m.Text)); words > 25 {
			t.Errorf("%s: the first sentence of its doc comment has %d words, more than 25", m.path, words)
		}
	}
}

type named struct {
	path string
	Member
}

func all(t *testing.T) []named {
	t.Helper()
	var all []named
	for _, typ := range Types {
		members, err := typ.Members(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			all = append(all, named{typ.Title + "." + m.Name, m})
		}
	}
	return all
}
