// Package ignore leaves parts of a body out of what an entity tag is made from: the masks of CSRF tokens, nonces, and
// what regular expressions match. It knows no I/O; the body that is sent is never touched.
//
// # Canonical form
//
// A body with nothing to leave out counts as it is. Otherwise the digest is made from
//
//	kept bytes, table, length of the table (8 bytes, big-endian)
//
// and the table lists the gaps in their order:
//
//	number of gaps, and for each: kept bytes since the one before, length of what counts instead, what counts instead
//
// with numbers as unsigned varints (encoding/binary). Read from its end, such a form gives back the kept bytes, the
// places of the gaps and what counts in each, so no two sets of these have one form. Parts that overlap or touch are
// one gap. What counts instead of a CSRF token is the name of its format and the secret under its mask, instead of a
// nonce or a match nothing.
//
// Marks go with a form that is not the body as it came (see Content): they are field lines that no message can have,
// as they begin with NUL. So no body can pass for the form of another one.
package ignore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

const (
	// maxExpression is the longest body that regular expressions are run on.
	maxExpression = 1 << 20
	// maxGaps bounds the memory that a hostile body can ask for: of an expression, or of all tags of a page, no more
	// parts are left out.
	maxGaps = 10_000
	// gapsAtOnce is how many gaps are written before somebody looks at the clock.
	gapsAtOnce = 1024
	// maxPasses bounds the time: all expressions together read a body no more than that many times for each of them.
	maxPasses = 12
)

// Marks of forms that are not the body as it came.
const (
	markDecoded = "\x00decoded"
	markReduced = "\x00reduced"
	markPolicy  = "\x00policy"
	markGzip    = "\x00gzip" // and the flags, FEXTRA and FCOMMENT of the header, if it has these
)

// Rules says what is left out. A nil Rules leaves nothing out. It may be used concurrently.
type Rules struct {
	csrf, nonce bool
	expressions []expression
	weight      int64 // of all expressions
}

// Compile reads `ignore`: words, which are csrf and nonce, and regular expressions. None of both gives nil.
func Compile(words, expressions []string) (*Rules, error) {
	if len(words) == 0 && len(expressions) == 0 {
		return nil, nil //nolint:nilnil // no rule is no error
	}
	r := new(Rules)
	for i, word := range words {
		switch {
		case slices.Contains(words[:i], word):
			return nil, errTwice(word)
		case word == wordCSRF:
			r.csrf = true
		case word == wordNonce:
			r.nonce = true
		default:
			return nil, errNoWord(word)
		}
	}
	for i, source := range expressions {
		if slices.Contains(expressions[:i], source) {
			return nil, errTwice(source)
		}
		e, err := compile(source)
		if err != nil {
			return nil, fmt.Errorf("ignore: %w", err)
		}
		r.expressions, r.weight = append(r.expressions, e), r.weight+e.weight
	}
	return r, nil
}

// Space is memory for a form of a body. Its methods fail when there is none.
type Space interface {
	io.Writer
	io.ReaderFrom
	Bytes() []byte
}

// Memory gives empty spaces.
type Memory interface{ Space() Space }

// Response is what there is to reduce.
type Response struct {
	// Request counts where a token cannot be unmasked.
	Request http.Header
	// Identified says that the request has credentials or a client certificate, or that its user is known.
	Identified bool
	Header     http.Header
	MediaType  string // of Header, in lower case and without parameters
	Body       []byte
	// MaxDecoded is the longest body that is decoded.
	MaxDecoded int64
	// Memory is where a form is made, if it comes to that. What Content returns may lie there.
	Memory Memory
	// Late reports whether there is no time left; nil: there always is. It is asked now and then, and not again once it
	// has said so.
	Late func() bool

	// Tokens is what Content finds: whether there are tokens in the body, whichever part of them counts.
	Tokens bool
	// Counts is what Content finds, too: whether there is a token, masked anew each time, where none is looked for.
	Counts bool

	work work
}

// Content returns what the digest is made from, and the marks that go with it. Where a form cannot be made, for want of
// memory or since a body is not what it says to be, the body counts as it came: never less than what is understood.
//
// It fails with ErrWork or ErrLate when it is too much work to find out what counts. Then there is no digest at all: one
// of another form would be that of another page for whoever has had the time.
func (r *Rules) Content(resp *Response) (content []byte, marks []string, err error) {
	if r == nil {
		return resp.Body, nil, nil
	}
	resp.work = workOn(resp.MaxDecoded, resp.Late)
	content, marks = r.content(resp)
	return content, marks, resp.work.err
}

func (r *Rules) content(resp *Response) (content []byte, marks []string) {
	if r.nonce {
		if policy := policyWithoutNonces(resp.Header); policy != "" {
			marks = append(marks, policy)
		}
	}
	if !isText(resp.MediaType) {
		return asItCame(resp, marks)
	}
	content = resp.Body
	switch codingOf(resp.Header["Content-Encoding"]) {
	case identity:
	case gzipped:
		decoded := resp.Memory.Space()
		if decode(decoded, content, resp.MaxDecoded, &resp.work) != nil {
			return asItCame(resp, marks)
		}
		content, marks = decoded.Bytes(), append(marks, markDecoded)
	case unknown:
		return content, marks
	}
	found := r.find(content, resp)
	resp.Tokens = len(found.instead) > 0 || resp.Counts
	if len(found.gaps) == 0 || resp.work.err != nil {
		return content, marks
	}
	reduced := resp.Memory.Space()
	if found.write(reduced, content, &resp.work) != nil {
		return content, marks
	}
	return reduced.Bytes(), append(marks, markReduced)
}

// asItCame is the content of a body that is not looked into: all of it, but for a gzip header that is another one each
// time.
func asItCame(resp *Response, marks []string) ([]byte, []string) {
	content, mark, _ := WithoutGzipHeader(resp.Header["Content-Encoding"], resp.Body)
	if mark != "" {
		marks = append(marks, mark)
	}
	return content, marks
}

// gap is a part of a body that is left out.
type gap struct {
	start, end int
	instead    int // how many bytes count instead
}

// gaps are those of one body, by their start.
type gaps struct {
	gaps    []gap
	instead []byte // of all of them, in the order in which they were found
}

// find looks for all that the rules leave out of a body, that of a response once it is decoded. It allocates nothing when
// there is nothing. What it finds is worth nothing once the work is over.
func (r *Rules) find(body []byte, resp *Response) gaps {
	w := &resp.work
	s := scan{body: body, csrf: r.csrf && mayHaveToken(body), nonce: r.nonce && indexFold(body, "nonce") >= 0}
	if s.csrf || s.nonce {
		s.resp = resp
		w.spend(int64(len(body) / scanned))
		if s.csrf {
			s.nameTokens()
		}
		s.tags()
		resp.Counts = s.countsNamed()
	}
	if len(body) <= maxExpression {
		w.atMost(r.share(int64(len(body))))
		for i := 0; i < len(r.expressions) && w.err == nil; i++ {
			s.found.gaps = r.expressions[i].appendMatches(s.found.gaps, body, w)
		}
	}
	return s.found
}

// share is how much of the work is there for the expressions: for each as much as to read a body of some length so many
// times, and to begin searches and leave parts out where it has matches, whichever of them needs it; but no more than there is for a long one.
func (r *Rules) share(length int64) int64 {
	each := min(length, maxGaps)*(2*setUp+perGap) + spareTries*setUp
	return min(maxWork, maxPasses*r.weight*length+int64(len(r.expressions))*each)
}

// write writes the canonical form of a body with gaps.
func (g gaps) write(w io.Writer, body []byte, clock *work) error {
	table := make([]byte, 0, 4*binary.MaxVarintLen64+len(g.gaps)*8+len(g.instead))
	instead := make([][]byte, len(g.gaps)) // of each gap
	order := make([]int, len(g.gaps))
	rest := g.instead
	for i, one := range g.gaps {
		order[i], instead[i], rest = i, rest[:one.instead], rest[one.instead:]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(g.gaps[a].start, g.gaps[b].start) })
	merged, written := uint64(0), 0
	for i := 0; i < len(order); {
		start, end := g.gaps[order[i]].start, g.gaps[order[i]].end
		counts := append([]byte(nil), instead[order[i]]...)
		for i++; i < len(order) && g.gaps[order[i]].start <= end; i++ {
			end = max(end, g.gaps[order[i]].end)
			counts = append(counts, instead[order[i]]...)
		}
		if _, err := w.Write(body[written:start]); err != nil {
			return err
		}
		table = binary.AppendUvarint(table, uint64(start-written)) //nolint:gosec // gaps are in order
		table = binary.AppendUvarint(table, uint64(len(counts)))
		table = append(table, counts...)
		written = end
		if merged++; merged%gapsAtOnce == 0 && !clock.look() {
			return clock.err
		}
	}
	number := binary.AppendUvarint(nil, merged)
	length := binary.BigEndian.AppendUint64(nil, uint64(len(number)+len(table)))
	for _, part := range [...][]byte{body[written:], number, table, length} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// isText reports whether a media type is one of text in the wide sense. Elsewhere bytes that look like a token are
// chance.
func isText(mediaType string) bool {
	switch mediaType {
	case "application/json", "application/xml", "application/javascript", "application/x-javascript", "application/ecmascript":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml")
}

var errLimit = errors.New("longer than it may be")
