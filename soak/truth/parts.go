package truth

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// part is a piece of a content, and where it stands in it.
type part struct {
	first, last, size int
	text              string
}

// readContentRange reads a Content-Range of bytes.
func readContentRange(value, text string) (p part, ok bool) {
	count, err := fmt.Sscanf(value, "bytes %d-%d/%d", &p.first, &p.last, &p.size)
	p.text = text
	return p, err == nil && count == 3 && p.first <= p.last && p.last < p.size && len(text) == p.last-p.first+1
}

// judgeParts: a 206 is cut out of a version that was current, and that is the one which its tag and If-Range name.
func judgeParts(q *Request, a *Answer) string {
	if len(q.Header["Range"]) == 0 || q.Method != http.MethodGet {
		return "a 206 that nobody has asked for"
	}
	parts, problem := readParts(a)
	if problem != "" {
		return problem
	}
	stamp, problem := stamped(q, a)
	if problem != "" {
		return problem
	}
	first, last := q.Page.current(q.Start, a.End)
	for n := last; n >= first; n-- {
		if (stamp < 0 || stamp == n) && areOf(parts, q.Page.Text(n)) {
			return judgePartsOf(n, q, a)
		}
	}
	return fmt.Sprintf("parts of none of the versions %d to %d", first, last)
}

func judgePartsOf(n int, q *Request, a *Answer) string {
	if condition := q.Header.Get("If-Range"); condition != "" && !standsFor(q.Page, condition, n) {
		return fmt.Sprintf("a part of version %d, and If-Range does not name that", n)
	}
	if etag := a.Header.Get("Etag"); etag != "" {
		if strings.HasPrefix(etag, "W/") && q.Header.Get("If-Range") != "" {
			return "a part by a weak tag"
		}
		return q.Page.keep(n, etag, "")
	}
	return ""
}

// standsFor reports whether an If-Range is true for a version.
func standsFor(p *Page, condition string, n int) bool {
	if dated, ok := versionOf(condition); ok {
		return dated == n
	}
	s, ok := p.Place.named(condition)
	return ok && s.Page == p && s.Version == n && !strings.HasPrefix(condition, "W/")
}

func areOf(parts []part, text string) bool {
	for _, p := range parts {
		if p.size != len(text) || text[p.first:p.last+1] != p.text {
			return false
		}
	}
	return true
}

func readParts(a *Answer) (parts []part, problem string) {
	media, params, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if media != "multipart/byteranges" {
		p, ok := readContentRange(a.Header.Get("Content-Range"), a.Body)
		if !ok {
			return nil, "a 206 whose Content-Range is not about its content"
		}
		return []part{p}, ""
	}
	reader := multipart.NewReader(strings.NewReader(a.Body), params["boundary"])
	for {
		next, err := reader.NextPart()
		if err == io.EOF { //nolint:errorlint // as it comes from NextPart
			return parts, ""
		}
		if err != nil {
			return nil, "parts that cannot be read: " + err.Error()
		}
		text, err := io.ReadAll(next)
		p, ok := readContentRange(next.Header.Get("Content-Range"), string(text))
		if err != nil || !ok {
			return nil, "a part whose Content-Range is not about its content"
		}
		parts = append(parts, p)
	}
}

// judgeUnsatisfiable: a 416 tells the length of a version that was current.
func judgeUnsatisfiable(q *Request, a *Answer) string {
	if len(q.Header["Range"]) == 0 {
		return "a 416 that nobody has asked for"
	}
	var size int
	if _, err := fmt.Sscanf(a.Header.Get("Content-Range"), "bytes */%d", &size); err != nil {
		return "a 416 that does not tell the length"
	}
	first, last := q.Page.current(q.Start, a.End)
	for n := first; n <= last; n++ {
		if len(q.Page.Text(n)) == size {
			return ""
		}
	}
	return fmt.Sprintf("a 416 about %d bytes, which nothing has had", size)
}
