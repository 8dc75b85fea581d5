package tokens

import (
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// Source reads one source of dates, and the word that says of which kind it is. The source is left to be checked.
func (r Reader) Source() (kind string, source config.LastModifiedSource, err error) {
	args := r.RemainingArgs()
	if len(args) == 0 || args[0] == "" {
		return "", source, r.Errf("from needs a source: header, json, file or first_seen")
	}
	kind, args = args[0], args[1:]
	switch kind {
	case "header":
		source.Header, source.Layout, err = r.sourceText(kind, "a field, such as X-Updated-At", "a field and a layout", args)
	case "json":
		source.JSON, source.Layout, err = r.sourceText(kind, "a path, such as updated_at; one that begins with # has to be quoted, or it is a comment", "a path and a layout", args)
	case "file":
		if source.File = args; len(args) == 0 {
			err = r.Errf("from file needs at least one path, such as {http.vars.root}{path}")
		}
	case "first_seen":
		if source.FirstSeen = true; len(args) > 0 {
			err = r.Surplus(args[0], "from first_seen", "no argument")
		}
	default:
		err = r.Errf("unrecognized source of last_modified: %q; use header, json, file or first_seen", kind)
	}
	return kind, source, err
}

// sourceText reads what a source is called by, and the layout that may follow.
func (r Reader) sourceText(kind, needs, takes string, args []string) (name, layout string, err error) {
	switch {
	case len(args) == 0 || args[0] == "":
		return "", "", r.Errf("from %s needs %s", kind, needs)
	case len(args) > 2:
		return "", "", r.Surplus(args[2], "from "+kind, takes+"; put the layout in quotes: from "+kind+" "+args[0]+` "`+strings.Join(args[1:], " ")+`"`)
	case len(args) == 2 && args[1] == "":
		return "", "", r.Errf(`from %s: an empty layout means nothing; remove it`, kind)
	case len(args) == 2:
		layout = args[1]
	}
	return args[0], layout, nil
}
