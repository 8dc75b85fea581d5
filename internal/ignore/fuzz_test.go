package ignore

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func FuzzContent(f *testing.F) {
	s := newSource(1)
	for _, name := range []string{"django", "rails", "laravel", "aspnet", "spring", "phoenix", "symfony"} {
		f.Add(fixture(f, name), "")
	}
	for _, one := range masking {
		f.Add(filled(fixture(f, one.name), func() string { return one.token(s, one.secret(s)) }), "rendered (in) \\d+")
	}
	for _, page := range inAttributes {
		f.Add(filled(page, func() string { return djangoToken(s, djangoSecret(s)) }), "q+")
	}
	f.Add(filled(fixture(f, "aspnet"), func() string { return aspNetToken(s, "") }), "e+")
	f.Add(`<script nonce="abc"><meta name=csp-nonce content=a nonce=b><link nonce=`, "a|b")
	f.Add(strings.Repeat("<input ", 30)+strings.Repeat("csrf nonce=", 20), `(n)|(o)`)
	f.Fuzz(func(t *testing.T, page, word string) {
		words := []string{"csrf", "nonce"}
		if _, err := Compile(sorted(append(words, word))); err == nil && len(word) < 50 {
			words = append(words, word)
		}
		checkForm(t, page, words)
	})
}

// checkForm checks what holds of every page.
func checkForm(t *testing.T, page string, words []string) {
	t.Helper()
	resp := Response{MediaType: "text/html", Request: http.Header{"Cookie": {"__RequestVerificationToken=a"}}, work: *plenty()}
	found := compiled(t, words...).find([]byte(page), &resp)
	for _, g := range found.gaps {
		if g.start < 0 || g.start >= g.end || g.end > len(page) {
			t.Fatalf("%+v is no part of %d bytes", g, len(page))
		}
	}
	formed := func(page string) string {
		t.Helper()
		resp := resp
		resp.Body = []byte(page)
		return formWith(t, resp, words...)
	}
	form := formed(page)
	if len(found.gaps) == 0 {
		if form != page {
			t.Fatalf("unaffected, it counts as %q", form)
		}
		return
	}
	if !keepsTheRest(read(t, form), page, found) {
		t.Fatalf("%q counts as %q", page, form)
	}
	if formed(page) != form {
		t.Fatal("not the same twice")
	}
	// A body that reads like the form is not taken for it, unless the rules leave parts of that out as well.
	alike := strings.TrimSuffix(form, markReduced)
	if gaps := compiled(t, words...).find([]byte(alike), &resp).gaps; len(gaps) == 0 && formed(alike) == form {
		t.Fatalf("%q and %q count as one", page, alike)
	}
}

// keepsTheRest checks the marked form against the page: what no gap covers is kept, in its order, and each run of what is
// covered has one place.
func keepsTheRest(marked, page string, found gaps) bool {
	covered := make([]bool, len(page))
	for _, g := range found.gaps {
		for i := g.start; i < g.end; i++ {
			covered[i] = true
		}
	}
	var kept strings.Builder
	number := 0
	for i := range len(page) {
		if !covered[i] {
			kept.WriteByte(page[i])
		} else if i == 0 || !covered[i-1] {
			number++
		}
	}
	return len(marked) == kept.Len()+2*number+len(found.instead) && isSubsequence(kept.String(), marked)
}

func isSubsequence(part, whole string) bool {
	for i := range len(whole) {
		if part != "" && part[0] == whole[i] {
			part = part[1:]
		}
	}
	return part == ""
}

func FuzzDecode(f *testing.F) {
	f.Add(zipped(f, "a page", "x"), int64(6))
	f.Add([]byte("no gzip"), int64(0))
	f.Fuzz(func(t *testing.T, coded []byte, limit int64) {
		if limit %= 1 << 16; limit < 0 {
			return
		}
		var space bytes.Buffer
		if err := decode(&space, coded, limit, plenty()); err != nil {
			return
		}
		if int64(space.Len()) > limit {
			t.Fatalf("%d bytes, over %d", space.Len(), limit)
		}
		reader, err := gzip.NewReader(bytes.NewReader(coded))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := io.ReadAll(reader); err != nil || !bytes.Equal(want, space.Bytes()) {
			t.Fatalf("got %q, want %q, %v", space.Bytes(), want, err)
		}
	})
}

// What passes the check never matches the empty string, its literal is in every match, and the parts that are left out
// are those of the matches that regexp finds.
func FuzzExpression(f *testing.F) {
	for _, word := range []string{`\d+ ms`, "a|b", "(a*)b", "(?i)abc", `\x{FFFD}`, "(?:ab){2,3}", "a?b+"} {
		f.Add(word, "12 ms abab aab")
	}
	f.Fuzz(func(t *testing.T, word, text string) {
		e, err := compile(word)
		if err != nil || len(word) > 50 {
			return
		}
		for _, at := range e.re.FindAllStringIndex(text, -1) {
			if at[0] == at[1] {
				t.Fatalf("%q matches the empty string in %q", word, text)
			}
			if !strings.Contains(text[at[0]:at[1]], string(e.literal)) {
				t.Fatalf("%q matches %q, which has no %q", word, text[at[0]:at[1]], e.literal)
			}
		}
		want := allMatches(&e, text)
		if got := e.appendMatches(nil, []byte(text), plenty()); !slices.Equal(got, want) {
			t.Fatalf("%q leaves %v out of %q, want %v", word, got, text, want)
		}
		e.weight = maxStep // so that it is read from the beginning as a long text is
		if got := e.appendMatches(nil, []byte(text), plenty()); !slices.Equal(got, want) {
			t.Fatalf("%q leaves %v out of %q step by step, want %v", word, got, text, want)
		}
	})
}

// allMatches are the parts that an expression leaves out by the book.
func allMatches(e *expression, text string) (list []gap) {
	for _, match := range e.re.FindAllStringSubmatchIndex(text, -1) {
		list = appendMatch(list, match)
	}
	return list
}

func FuzzIndexFold(f *testing.F) {
	f.Add("no nonc nOnCe")
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := indexFold([]byte(text), "nonce"), indexASCII(text, "nonce"); got != want {
			t.Fatalf("%q: %d, want %d", text, got, want)
		}
	})
}

func indexASCII(text, word string) int {
	lower := []byte(text)
	for i, c := range lower {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 32
		}
	}
	return bytes.Index(lower, []byte(word))
}
