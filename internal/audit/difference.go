package audit

import "bytes"

// Part is a part of a body that differs between two fetches.
type Part struct {
	// From and To are its octets in the first fetch, FromAgain and ToAgain those in the second one.
	From, To, FromAgain, ToAgain int
	// Looks is what it seems to be.
	Looks Looks
	// Before is what stands before it in its line, to find it by. It is empty where the body has a secret in it.
	Before string
}

const (
	// maxParts is how many parts are told apart. What differs behind them is one part.
	maxParts = 64
	// maxAhead is how many words are looked ahead for a place where two bodies agree again.
	maxAhead = 400
	// agreed is how many words have to be the same for that. The colons of a time do not tear it apart.
	agreed = 3
	// maxCompared is how many words are compared in all, so that two bodies without anything in common cost little.
	maxCompared = 20_000_000
)

// word is a run of what tokens and numbers are made of, or one other octet.
type word struct{ from, to int }

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || bytes.IndexByte([]byte("_-+/."), c) >= 0
}

func wordsOf(b []byte) (all []word) {
	for i := 0; i < len(b); {
		start := i
		for i < len(b) && isWordByte(b[i]) {
			i++
		}
		if i == start {
			i++
		}
		all = append(all, word{start, i})
	}
	return all
}

// difference finds the parts in which two bodies differ.
type difference struct {
	a, b           []byte
	wordsA, wordsB []word
	compared       int
	parts          []Part
}

// compare returns the parts in which two bodies differ, from the first to the last.
func compare(a, b []byte) []Part {
	d := difference{a: a, b: b, wordsA: wordsOf(a), wordsB: wordsOf(b)}
	i, j := 0, 0
	for i < len(d.wordsA) && j < len(d.wordsB) {
		if d.same(i, j) {
			i, j = i+1, j+1
			continue
		}
		nextA, nextB := d.meet(i, j)
		d.add(i, nextA, j, nextB)
		i, j = nextA, nextB
	}
	if i < len(d.wordsA) || j < len(d.wordsB) {
		d.add(i, len(d.wordsA), j, len(d.wordsB))
	}
	return d.parts
}

func (d *difference) same(i, j int) bool {
	d.compared++
	return bytes.Equal(d.a[d.wordsA[i].from:d.wordsA[i].to], d.b[d.wordsB[j].from:d.wordsB[j].to])
}

// meet returns the next words from which on the bodies agree again, the nearest ones; the ends if there are none.
func (d *difference) meet(i, j int) (nextA, nextB int) {
	endA, endB := len(d.wordsA), len(d.wordsB)
	for ahead := 1; ahead <= maxAhead && d.compared < maxCompared && len(d.parts) < maxParts; ahead++ {
		// As many words on both sides come first: mostly one value stands in another one's place.
		for _, inA := range steps(ahead) {
			if a, b := i+inA, j+ahead-inA; a <= endA && b <= endB && d.agree(a, b) {
				return a, b
			}
		}
	}
	return endA, endB
}

// steps are the numbers from 0 to n, those in the middle first.
func steps(n int) []int {
	all := make([]int, 0, n+1)
	for low, high := n/2, n/2+1; low >= 0 || high <= n; low, high = low-1, high+1 {
		if low >= 0 {
			all = append(all, low)
		}
		if high <= n {
			all = append(all, high)
		}
	}
	return all
}

// agree reports whether the next words are the same, or both bodies end with those that are.
func (d *difference) agree(i, j int) bool {
	for n := range agreed {
		endA, endB := i+n == len(d.wordsA), j+n == len(d.wordsB)
		if endA || endB {
			return endA && endB
		}
		if !d.same(i+n, j+n) {
			return false
		}
	}
	return true
}

// add notes a part. Between two parts there are words that agree, so that they never touch.
func (d *difference) add(fromA, toA, fromB, toB int) {
	d.parts = append(d.parts, Part{
		From: offset(d.wordsA, fromA, d.a), To: offset(d.wordsA, toA, d.a),
		FromAgain: offset(d.wordsB, fromB, d.b), ToAgain: offset(d.wordsB, toB, d.b),
	})
}

// offset is where a word begins; behind the last one it is the end.
func offset(words []word, i int, body []byte) int {
	if i < len(words) {
		return words[i].from
	}
	return len(body)
}
