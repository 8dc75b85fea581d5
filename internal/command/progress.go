package command

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal reports whether a writer is one.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// coloured reports whether colours are wanted there: by a terminal that can, unless NO_COLOR is set (no-color.org).
func coloured(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// progress is a bar in a terminal. Elsewhere it is nothing.
type progress struct{ w io.Writer }

func newProgress(w io.Writer) progress {
	if !terminal(w) || os.Getenv("TERM") == "dumb" {
		w = nil
	}
	return progress{w}
}

// clearLine goes to the beginning of the line and empties it (ECMA-48 §8.3.41).
const clearLine = "\r\x1b[K"

func (p progress) show(done, all int, url string) {
	if p.w == nil {
		return
	}
	const wide, longest = 24, 40
	if len(url) > longest {
		url = "…" + strings.ToValidUTF8(url[len(url)-longest:], "")
	}
	full := done * wide / max(all, 1)
	_, _ = fmt.Fprintf(p.w, "%s[%s%s] %d of %d  %s", clearLine, strings.Repeat("#", full), strings.Repeat(" ", wide-full), done, all, url)
}

// clear leaves nothing of the bar behind.
func (p progress) clear() {
	if p.w != nil {
		_, _ = io.WriteString(p.w, clearLine)
	}
}
