package lastmodified

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// file is the path of a file.
type file struct {
	text  string // with placeholders
	label string // for notes
	ups   int    // how many of its elements are ".."
}

func newFile(text string) file {
	return file{text: text, label: "file " + text, ups: ups(text)}
}

// mtime is when the file was last written, or what a link to it leads to. A folder's time says nothing of
// the files in it.
func (f *file) mtime(repl *caddy.Replacer) (time.Time, error) {
	path, err := f.path(repl)
	if err != nil {
		return time.Time{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return time.Time{}, errNoFile
	}
	return info.ModTime(), nil
}

// path is the file's path for one request. What the request gives cannot lead out of the folder that the
// configuration names: ".." counts only where the operator has written it.
func (f *file) path(repl *caddy.Replacer) (string, error) {
	allowed := f.ups
	path, err := repl.ReplaceFunc(f.text, func(name string, value any) (any, error) {
		text := caddy.ToString(value)
		switch {
		case text == "":
			// Without it the path would be that of another file.
			return nil, fmt.Errorf("{%s} is empty or not known", name)
		case operators(name):
			allowed += ups(text)
		}
		return text, nil
	})
	switch {
	case err != nil:
		return "", err
	case ups(path) > allowed:
		return "", errOutside
	}
	return filepath.Clean(path), nil // os.Stat refuses NUL
}

// operators reports whether a placeholder's value is the operator's, as no request can change it.
func operators(placeholder string) bool {
	for _, prefix := range [...]string{"env.", "file.", "system."} {
		if strings.HasPrefix(placeholder, prefix) {
			return true
		}
	}
	return placeholder == "http.vars.root"
}

// ups counts the elements of a path that lead upwards, with the separators of every system.
func ups(path string) (n int) {
	if !strings.Contains(path, "..") {
		return 0
	}
	for element := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if element == ".." {
			n++
		}
	}
	return n
}
