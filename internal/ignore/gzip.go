package ignore

import (
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

// decoder decodes gzip for as long as there is work left for it.
type decoder struct {
	gzip gzip.Reader
	rest []byte
	work *work
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decode decodes a body into space. It fails when the body is not gzip to its end, or longer than limit, or the work is
// over. What varies in the coding alone, as padding against BREACH does, is gone then.
func decode(space Space, coded []byte, limit int64, w *work) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.rest, d.work = coded, w
	defer func() { d.rest, d.work = nil, nil }()
	if err := d.gzip.Reset((*codedReader)(d)); err != nil {
		return err
	}
	switch n, err := space.ReadFrom(io.LimitReader((*decodedReader)(d), limit+1)); {
	case err != nil:
		return err
	case n > limit:
		return errLimit
	}
	return nil
}

// codedReader reads what is to be decoded.
type codedReader decoder

func (d *codedReader) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.rest)
	if !d.work.spend(int64(n) * perCoded) {
		return 0, d.work.err
	}
	d.rest = d.rest[n:]
	return n, nil
}

// ReadByte keeps compress/flate from putting a buffer in between.
func (d *codedReader) ReadByte() (byte, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	if !d.work.spend(perCoded) {
		return 0, d.work.err
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c, nil
}

// decodedReader reads what was decoded.
type decodedReader decoder

func (d *decodedReader) Read(p []byte) (int, error) {
	n, err := d.gzip.Read(p)
	if !d.work.spend(int64(n / scanned)) {
		return 0, d.work.err
	}
	return n, err
}
