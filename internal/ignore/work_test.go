package ignore

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// plenty is more work than any test needs.
func plenty() *work { return &work{left: math.MaxInt64 / 2} }

// An expression that reads on to the end for every short match is given up, and so are many that do so together, for no
// more work than one: there is no tag at all then, as one of a few matches would be that of another page.
func TestBoundOfReading(t *testing.T) {
	hostile := []string{`x(?:[^y]*y)?`}
	for i := range 6 {
		hostile = append(hostile, fmt.Sprintf(`x(?:[^y]*y%d)?`, i), fmt.Sprintf(`(?:xx){%d}!`, i+1), fmt.Sprintf(`x\w{1,%d}!`, 10*i+10))
	}
	for _, size := range []int{1 << 10, 1 << 14, 1 << 17} {
		for _, words := range [][]string{hostile[:1], hostile} {
			resp := Response{MediaType: "text/html", Body: []byte(strings.Repeat("x!", 8) + strings.Repeat("x", size-16)), Memory: heap{}}
			_, _, err := compiled(t, words...).Content(&resp)
			if size < 1<<17 && len(words) > 1 {
				continue // may be done
			}
			if !errors.Is(err, ErrWork) {
				t.Errorf("%d octets, %d expressions: %v, want %v", size, len(words), err, ErrWork)
			}
			if left := resp.work.left; left < -maxStep || left > maxWork {
				t.Errorf("%d octets, %d expressions: %d units are left", size, len(words), left)
			}
		}
	}
}

// What is spent is the same each time, and whatever the clock has said in between.
func TestWorkIsDeterministic(t *testing.T) {
	page := strings.Repeat(`<p class="a1">x!</p> <input name=csrf_token value="token">`, 300)
	r := compiled(t, "csrf", "nonce", `class="(\w+)"`, `\d\w{1,40}!`, `x(?:[^y]*y)?`, `[a-z]+=`)
	spent := func(late func() bool) int64 {
		resp := Response{MediaType: "text/html", Body: []byte(page), Memory: heap{}, Late: late}
		_, _, _ = r.Content(&resp)
		return resp.work.left
	}
	want := spent(nil)
	for range 3 {
		if got := spent(func() bool { return false }); got != want {
			t.Errorf("%d units are left, want %d", got, want)
		}
	}
}

// The clock is asked at short intervals, whatever it is that takes the time, and not again when it has said that it is
// late.
func TestLate(t *testing.T) {
	empty := zipped(t, "", "")
	for _, tt := range []struct {
		name, page string
		words      []string
		gzip       bool
	}{
		{"an expression", strings.Repeat("x", 1<<20), []string{`x(?:[^y]*y)?`}, false},
		{"a large expression", strings.Repeat("x", 1<<16) + " !", []string{`\w{1,1000}!`}, false},
		{"many that do not match", strings.Repeat("x", 1<<20), []string{`a`, `b`, `c`, `d`}, false},
		{"tags", "nonce" + strings.Repeat("<", 1<<20), []string{"nonce"}, false},
		{"attributes", "nonce <link " + strings.Repeat("a=b ", 1<<18), []string{"nonce"}, false},
		{"names of tokens", strings.Repeat("_token ", 1<<17), []string{"csrf"}, false},
		{"gzip", string(zipped(t, strings.Repeat("x", 4<<20), "")), []string{"csrf"}, true},
		{"gzip without content", strings.Repeat(string(empty), 1<<20/len(empty)), []string{"csrf"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			resp := Response{
				MediaType: "text/html", Body: []byte(tt.page), Memory: heap{}, MaxDecoded: 8 << 20, Header: http.Header{},
				Late: func() bool { asked++; return asked > 2 },
			}
			if tt.gzip {
				resp.Header["Content-Encoding"] = []string{"gzip"}
			}
			began := time.Now()
			_, _, err := compiled(t, tt.words...).Content(&resp)
			if took := time.Since(began); !errors.Is(err, ErrLate) || asked != 3 || took > time.Second {
				t.Errorf("%v after %d questions and %v, want %v after 3", err, asked, took, ErrLate)
			}
		})
	}
}

// Thirty expressions with as many parts as each may have are too much to be put in order.
func TestBoundOfGapsInAll(t *testing.T) {
	var words []string
	for i := range 30 {
		words = append(words, fmt.Sprintf("1(?:2{%d})?", i+1))
	}
	resp := Response{MediaType: "text/html", Body: []byte(strings.Repeat("1 ", 1<<16)), Memory: heap{}}
	if _, _, err := compiled(t, words...).Content(&resp); !errors.Is(err, ErrWork) {
		t.Errorf("%v, want %v", err, ErrWork)
	}
	asked := 0
	w := work{left: maxWork, late: func() bool { asked++; return asked > 1 }}
	found := gaps{gaps: make([]gap, 10*gapsAtOnce)}
	for i := range found.gaps {
		found.gaps[i] = gap{start: 2 * i, end: 2*i + 1}
	}
	if err := found.write(io.Discard, make([]byte, 30*gapsAtOnce), &w); !errors.Is(err, ErrLate) || asked != 2 {
		t.Errorf("%v after %d questions, want %v after 2", err, asked, ErrLate)
	}
}

// What no match can be long for: pages of which every tag, number or word is a match, or may begin one, are done.
func TestEnoughWork(t *testing.T) {
	for name, tt := range map[string]struct{ word, page string }{
		"side by side":          {`\d`, "1"},
		"a prefix at each":      {`1\d\d!`, "1"},
		"a prefix at each word": {`e\d`, "e e1 "},
		"groups":                {`(1)(2)`, "12"},
		"long matches":          {`<[^>]*>`, "<" + strings.Repeat("a", 1000) + ">"},
		"a large expression":    {`"(\w{1,200})"`, `"abc" def, `},
	} {
		for _, size := range []int{1, 10, 1000, 64 << 10} {
			resp := Response{MediaType: "text/html", Body: []byte(strings.Repeat(tt.page, size/len(tt.page)+1)), Memory: heap{}}
			if _, _, err := compiled(t, tt.word).Content(&resp); err != nil {
				t.Errorf("%s, %d octets: %v with %d units left", name, size, err, resp.work.left)
			}
		}
	}
}

// A text without an end that is full of names is not read to its end for each.
func TestNamesInATextWithoutEnd(t *testing.T) {
	for _, part := range []string{"token.", "token=", "token+", "srf/"} {
		resp := Response{MediaType: "text/html", Body: []byte("csrf " + strings.Repeat(part, 1<<20/len(part))), Memory: heap{}}
		began := time.Now()
		_, _, err := compiled(t, "csrf").Content(&resp)
		if took := time.Since(began); err != nil || took > 5*time.Second {
			t.Errorf("%q: %v after %v", part, err, took)
		}
	}
}

// The reader never hands out more than it may, but for the rest of a letter.
func TestRunes(t *testing.T) {
	w := plenty()
	before := w.left
	r := runes{rest: []byte("aé\xff€"), most: 5, weight: 3, work: w}
	for _, want := range []struct {
		c    rune
		size int
	}{{'a', 1}, {'é', 2}, {'\uFFFD', 1}, {'€', 3}} {
		if c, size, err := r.ReadRune(); c != want.c || size != want.size || err != nil {
			t.Fatalf("got %q of %d, %v, want %q of %d", c, size, err, want.c, want.size)
		}
	}
	if _, _, err := r.ReadRune(); !errors.Is(err, io.EOF) || r.short || before-w.left != 3*7 {
		t.Errorf("at the end: %v, short: %t, spent: %d", err, r.short, before-w.left)
	}
	r = runes{rest: []byte("ab"), most: 1, weight: 1, work: w}
	_, _, _ = r.ReadRune()
	if _, _, err := r.ReadRune(); !errors.Is(err, io.EOF) || !r.short {
		t.Errorf("with nothing left: %v, short: %t", err, r.short)
	}
	r = runes{rest: []byte("ab"), most: 2, weight: 1, work: &work{left: 0, next: math.MaxInt64}}
	if _, _, err := r.ReadRune(); !errors.Is(err, io.EOF) || r.short || !errors.Is(r.work.err, ErrWork) {
		t.Errorf("with no work left: %v, short: %t, %v", err, r.short, r.work.err)
	}
}
