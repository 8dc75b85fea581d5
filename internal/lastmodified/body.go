package lastmodified

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

const (
	// maxJSON is the longest body that is looked at, in bytes, and the longest that gzip is decoded to.
	maxJSON = 1 << 20
	// maxDepth is how many brackets may be open at one time: the reader calls itself for each.
	maxDepth = 256
	// maxLists is how many lists of dates may be in each other, as each is read for itself.
	maxLists = 8
	// membersAtOnce is how many members of a list are read before somebody looks at the clock.
	membersAtOnce = 1024
)

// Space is memory for a decoded body. Reading into it fails when there is none left.
type Space interface {
	io.ReaderFrom
	Bytes() []byte
}

// Reading is what there is to read a body with.
type Reading struct {
	MaxBody int64 // of a gzip-coded body no more bytes are decoded
	Space   Space // to decode it into; empty
	// Late reports whether there is no time left; nil: there always is. It is asked between one step and the next.
	Late func() bool
}

// Body asks the sources that are known with the body, if there are any. The body is not changed. Where the time is over
// before all are asked, there is no date.
func (q *Search) Body(header http.Header, body []byte, r Reading) {
	if !q.unread {
		return
	}
	q.unread, q.late = false, r.Late
	err := readable(header, body, &r, func(text []byte) error {
		switch {
		case tooDeep(text):
			return errUnread
		case q.over():
			return errLate
		case !gjson.ValidBytes(text):
			return errNoJSON
		}
		for i := range q.sources.json {
			if q.over() {
				return errLate
			}
			q.path(&q.sources.json[i], text)
		}
		return nil
	})
	q.late = nil
	if err != nil {
		q.take("json", time.Time{}, err)
	}
}

// over reports whether there is no time left.
func (q *Search) over() bool { return q.late != nil && q.late() }

// path asks one path of a valid document.
func (q *Search) path(d *dated, text []byte) {
	found := gjson.GetBytes(text, d.name)
	if !found.Exists() {
		q.take(d.label, time.Time{}, errAbsent)
		return
	}
	q.value(d, found, maxLists)
}

// value takes every date in what a path has led to: one, or a list of them, in which as many more may be
// as lists tells.
func (q *Search) value(d *dated, v gjson.Result, lists int) {
	if lists > 0 && v.IsArray() {
		members := 0
		v.ForEach(func(_, member gjson.Result) bool {
			if members++; members%membersAtOnce == 0 && q.over() {
				q.take(d.label, time.Time{}, errLate)
				return false
			}
			q.value(d, member, lists-1)
			return true
		})
		return
	}
	t, err := time.Time{}, errNoDate
	switch v.Type {
	case gjson.Number:
		t, err = fromNumber(v.Num)
	case gjson.String:
		t, err = d.read(v.Str, q.now)
	case gjson.Null:
		err = errAbsent // what was never changed has one in many an API
	case gjson.False, gjson.True, gjson.JSON:
	}
	q.take(d.label, t, err)
}

// fromNumber reads Unix seconds, or milliseconds from 1e11 on: as seconds that is the year 5138, as
// milliseconds 1973. From 1e14 on it is another unit, which is not guessed at.
func fromNumber(n float64) (time.Time, error) {
	switch {
	case !(n >= 0 && n < 1e14):
		return time.Time{}, errNoDate
	case n >= 1e11:
		return time.UnixMilli(int64(n)), nil
	}
	return time.Unix(int64(n), 0), nil
}

// tooDeep reports whether more than maxDepth brackets of a document are open at one time.
func tooDeep(text []byte) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '[', '{':
			if depth++; depth > maxDepth {
				return true
			}
		case ']', '}':
			depth--
		}
	}
	return false
}

// endOfString is where the string ends that begins at text[i], or the text.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// decoder is what decoding a body takes; it is worth keeping.
type decoder struct {
	source bytes.Reader
	gzip   gzip.Reader
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decode decodes a body into space, if it is gzip to its end and not longer than most.
func (d *decoder) decode(space Space, body []byte, most int64) error {
	d.source.Reset(body)
	defer d.source.Reset(nil) // the pool is not to keep the body
	if err := d.gzip.Reset(&d.source); err != nil {
		return errUnread
	}
	if n, err := space.ReadFrom(io.LimitReader(&d.gzip, most+1)); err != nil || n > most {
		return errUnread
	}
	return nil
}

// readable hands a body on as plain text, which is good for the time of the call. Without the byte order
// mark, that is, which some servers put in front (RFC 8259 §8.1).
func readable(header http.Header, body []byte, r *Reading, use func([]byte) error) error {
	if len(body) > maxJSON {
		return errUnread
	}
	coding := strings.ToLower(strings.TrimSpace(strings.Join(header["Content-Encoding"], ",")))
	switch coding {
	case "", "identity":
		return use(bytes.TrimPrefix(body, []byte("\ufeff")))
	case "gzip", "x-gzip":
	default:
		return errUnread
	}
	d := decoders.Get().(*decoder)
	err := d.decode(r.Space, body, min(r.MaxBody, maxJSON))
	decoders.Put(d)
	if err != nil {
		return err
	}
	return use(bytes.TrimPrefix(r.Space.Bytes(), []byte("\ufeff")))
}
