package ignore

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"sync"
)

// coding is what Content-Encoding says, as far as it matters.
type coding uint8

const (
	identity coding = iota
	gzipped
	unknown // or several
)

func codingOf(lines []string) coding {
	switch said := strings.ToLower(strings.TrimSpace(strings.Join(lines, ","))); said {
	case "":
		return identity
	case "gzip", "x-gzip": // RFC 9110 §8.4.1.3
		return gzipped
	}
	return unknown
}

var readers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// decode decodes a body into space. It fails when the body is not gzip to its end, or longer than limit. What varies in
// the coding alone, as padding against BREACH does, is gone then.
func decode(space Space, coded []byte, limit int64) error {
	reader := readers.Get().(*gzip.Reader)
	defer readers.Put(reader)
	if err := reader.Reset(bytes.NewReader(coded)); err != nil {
		return err
	}
	switch n, err := space.ReadFrom(io.LimitReader(reader, limit+1)); {
	case err != nil:
		return err
	case n > limit:
		return errLimit
	}
	return nil
}
