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
	// inside are files that may lie in it, should it be a folder: their text goes on where its text ends.
	inside []file
}

func newFile(text string) file {
	return file{text: text, label: "file " + text, ups: ups(text)}
}

// nest finds out which files may lie in which, should those be folders.
func nest(files []file) {
	for i := range files {
		for _, other := range files {
			if len(other.text) > len(files[i].text) && strings.HasPrefix(other.text, files[i].text) {
				files[i].inside = append(files[i].inside, other)
			}
		}
	}
}

// mtime is when the file was last written, or what a link to it leads to. A folder stands for what is served out of
// it, which need not be among the files that are named, and its own time says nothing of that: it is passed over only
// where a file in it is named and there, as with {path}index.html beside {path}.
func (f *file) mtime(repl *caddy.Replacer) (time.Time, error) {
	path, err := f.path(repl)
	if err != nil {
		return time.Time{}, err
	}
	t, err := mtime(path)
	if err != errNoFile { //nolint:errorlint // one of ours, never wrapped
		return t, err
	}
	for i := range f.inside {
		other, _ := f.inside[i].path(repl)
		if !strings.HasPrefix(other, path+string(filepath.Separator)) {
			continue
		}
		if _, err := mtime(other); err == nil {
			return time.Time{}, errFolder
		}
	}
	return t, err
}

func mtime(path string) (time.Time, error) {
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
// configuration names: ".." counts only where the operator has written it. What a placeholder stands for is taken as it
// is, placeholders in it included, as file_server takes {http.vars.root}: the directive `root` has expanded it.
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
		case name == "http.vars.root":
			allowed += leadingUps(text)
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
	return false
}

// leadingUps counts the elements that lead upwards at the beginning of a site's root. The others need not be the
// operator's: a root such as /srv/{http.request.host} is in part the request's.
func leadingUps(root string) (n int) {
	if root != "" && separator(rune(root[0])) {
		return 0 // nothing is above the top
	}
	for element := range strings.FieldsFuncSeq(root, separator) {
		switch element {
		case ".":
		case "..":
			n++
		default:
			return n
		}
	}
	return n
}

func separator(r rune) bool { return r == '/' || r == '\\' }

// ups counts the elements of a path that lead upwards, with the separators of every system.
func ups(path string) (n int) {
	if !strings.Contains(path, "..") {
		return 0
	}
	for element := range strings.FieldsFuncSeq(path, separator) {
		if element == ".." {
			n++
		}
	}
	return n
}
