package tokens

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// told are the lines with a warning, and what it says, of the Caddyfile that is adapted now.
var told []string

func init() {
	httpcaddyfile.RegisterDirective(directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		h.Next()
		for _, text := range Misplaced(h, h.File(), h.Line()) {
			told = append(told, fmt.Sprint(h.Line(), " ", text))
		}
		return nil, nil
	})
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.After, "encode")
}

const (
	offAlone  = "conditional_cache off: switches off itself alone, and the one of line %d outside of this block still acts; write it beside that one, as in conditional_cache /path/* off"
	unreached = "conditional_cache: never acts, as %s of line %d answers all requests before it: in route the order of the lines counts; write it above that line"
)

// misplaced are sites, from line 2 on, and what is told of them.
var misplaced = map[string]struct {
	site string
	want []string
}{
	"off in a handle":               {"conditional_cache\nhandle /raw/* {\nconditional_cache off\n}", []string{"4 " + fmt.Sprintf(offAlone, 2)}},
	"off above":                     {"handle_path /raw/* {\nconditional_cache off\n}\nconditional_cache 1h {\netag off\n}", []string{"3 " + fmt.Sprintf(offAlone, 5)}},
	"off by a name":                 {"@a path /a\nconditional_cache 1h\nhandle @a {\nconditional_cache off\nrespond \"{\"\n}", []string{"5 " + fmt.Sprintf(offAlone, 3)}},
	"off further in":                {"conditional_cache\nhandle {\nhandle /a/* {\nconditional_cache off\n}\n}", []string{"5 " + fmt.Sprintf(offAlone, 2)}},
	"off with a path of its own":    {"conditional_cache\nhandle /a/* {\nconditional_cache /a/b off\n}", []string{"4 " + fmt.Sprintf(offAlone, 2)}},
	"off of the nearest outside":    {"conditional_cache\nhandle {\nconditional_cache 1h\nhandle /a/* {\nconditional_cache off\n}\n}", []string{"6 " + fmt.Sprintf(offAlone, 4)}},
	"off of what matches, above":    {"conditional_cache /b/*\nhandle /a/* {\nconditional_cache off\n}", nil},
	"off of what matches, below":    {"handle /a/* {\nconditional_cache off\n}\nconditional_cache /b/* {\netag off\n}", nil},
	"off beside, above":             {"conditional_cache /a/* off\nconditional_cache\nhandle /a/* {\nconditional_cache off\n}", nil},
	"off beside":                    {"conditional_cache\nconditional_cache /a/* off", nil},
	"off inside and beside":         {"conditional_cache\nhandle /a/* {\nconditional_cache off\n}\nconditional_cache /a/* off", nil},
	"off of a sibling":              {"conditional_cache\nhandle /a/* {\nconditional_cache 1h\nconditional_cache /a/b off\n}", nil},
	"off in a block of its own":     {"handle /a/* {\nconditional_cache off\n}\nhandle {\nconditional_cache\n}", nil},
	"off where only one matches":    {"conditional_cache /b/* 1h\nhandle /a/* {\nconditional_cache off\n}", nil},
	"off in front, in a route":      {"route {\nhandle /a/* {\nconditional_cache off\n}\nconditional_cache\n}", nil},
	"off behind, in a route":        {"route {\nconditional_cache\nhandle /a/* {\nconditional_cache off\n}\n}", []string{"5 " + fmt.Sprintf(offAlone, 3)}},
	"off in handle_errors":          {"conditional_cache\nhandle_errors {\nconditional_cache off\n}", nil},
	"etag off":                      {"conditional_cache\nhandle /a/* {\nconditional_cache {\netag off\n}\n}", nil},
	"behind respond":                {"route {\nrespond hello\nconditional_cache\n}", []string{"4 " + fmt.Sprintf(unreached, "respond", 3)}},
	"behind a file server":          {"route /a/* {\nroot /srv\nfile_server browse\nconditional_cache 1h\n}", []string{"5 " + fmt.Sprintf(unreached, "file_server", 4)}},
	"behind a proxy":                {"route {\nreverse_proxy * localhost:1 {\nheader_up A b\n}\nconditional_cache {\netag off\n}\n}", []string{"6 " + fmt.Sprintf(unreached, "reverse_proxy", 3)}},
	"behind a redirection":          {"route {\nredir https://a.example{uri}\nconditional_cache\n}", []string{"4 " + fmt.Sprintf(unreached, "redir", 3)}},
	"behind a text of lines":        {"route {\nrespond <<X\n  conditional_cache\n  X\nconditional_cache\n}", []string{"6 " + fmt.Sprintf(unreached, "respond", 3)}},
	"in front":                      {"route {\nconditional_cache\nrespond hello\n}", nil},
	"behind what answers a path":    {"route {\nrespond /a hello\nredir /b /c\nconditional_cache\nreverse_proxy localhost:1\n}", nil},
	"behind a name":                 {"route {\n@a path /a\nreverse_proxy @a localhost:1\nconditional_cache\n}", nil},
	"behind what hands on":          {"route {\nfile_server {\npass_thru\n}\nrespond 103\nheader A b\nconditional_cache\n}", nil},
	"behind a part of the answers":  {"route {\nreverse_proxy localhost:1 {\nhandle_response {\nheader A b\n}\n}\nconditional_cache\n}", nil},
	"behind a file's processor":     {"route {\nhandle /a {\nrespond hello\n}\nconditional_cache\n}", nil},
	"outside of a route":            {"respond hello\nconditional_cache", nil},
	"in a handle":                   {"handle {\nrespond hello\nconditional_cache\n}", nil},
	"a snippet, there twice":        {"import in /a/*\nconditional_cache\nimport in /b/*", []string{"102 " + fmt.Sprintf(offAlone, 3), "102 " + fmt.Sprintf(offAlone, 3)}},
	"a snippet, once beside nobody": {"import in /b/*\nhandle /a/* {\nconditional_cache\nimport in /c/*\n}", nil},
	"behind lines in a text":        {"route {\nrespond `a\nb` 103\nconditional_cache\n}", nil},
	"a snippet, once in its place":  {"import off\nhandle /a/* {\nimport off\n}", nil},
}

// TestMisplaced: what does nothing where it stands is told, and what may do something is not.
func TestMisplaced(t *testing.T) {
	const snippets = "(in) {\nhandle {args[0]} {\nconditional_cache off\n}\n}\n(off) {\nconditional_cache off\n}\n"
	for name, c := range misplaced {
		t.Run(name, func(t *testing.T) {
			// Snippets have to stand above, and their lines are not those of the site.
			site := "http://localhost {\n" + c.site + "\n}\n"
			dir := t.TempDir()
			writeFile(t, dir+"/site", site)
			told = nil
			if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(strings.Repeat("\n", 99)+snippets+"import "+dir+"/site\n"), map[string]any{"filename": "Caddyfile"}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(told, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
