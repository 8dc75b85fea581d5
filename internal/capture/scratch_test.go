package capture

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A Scratch holds what was written to it, and the budget knows.
func TestScratch(t *testing.T) {
	var budget Budget
	s := NewScratch(&budget, 0)
	if budget.Held() != 0 || len(s.Bytes()) != 0 {
		t.Errorf("unused, it holds %d bytes", budget.Held())
	}
	text := strings.Repeat("0123456789", 10_000)
	for _, part := range []string{"", text[:1], text[1:5000], text[5000:]} {
		if n, err := io.WriteString(s, part); n != len(part) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(part), err)
		}
	}
	if string(s.Bytes()) != text || budget.Held() < int64(len(text)) {
		t.Errorf("it has %d bytes and is charged %d for %d", len(s.Bytes()), budget.Held(), len(text))
	}
	if n, err := s.ReadFrom(iotest.HalfReader(strings.NewReader(text))); n != int64(len(text)) || err != nil || string(s.Bytes()) != text+text {
		t.Errorf("read %d, %v", n, err)
	}
	s.Free()
	if budget.Held() != 0 || s.Bytes() != nil {
		t.Errorf("freed, it holds %d bytes", budget.Held())
	}
	s.Free() // again, to no effect
	if budget.Held() != 0 {
		t.Errorf("freed twice, the budget holds %d bytes", budget.Held())
	}
}

func TestScratchKeepsToTheBudget(t *testing.T) {
	var budget Budget
	const limit = 10_000 // one buffer of the smallest class
	s := NewScratch(&budget, limit)
	defer s.Free()
	if _, err := s.Write(make([]byte, 4000)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Write(make([]byte, 20_000)); n != 0 || !errors.Is(err, ErrBudget) || len(s.Bytes()) != 4000 {
		t.Errorf("over the limit: wrote %d, %v, and has %d", n, err, len(s.Bytes()))
	}
	if n, err := s.ReadFrom(strings.NewReader(strings.Repeat("a", 20_000))); !errors.Is(err, ErrBudget) || n > limit || budget.Held() > limit {
		t.Errorf("over the limit: read %d, %v, and holds %d", n, err, budget.Held())
	}
}

func TestScratchReadError(t *testing.T) {
	s := NewScratch(new(Budget), 0)
	defer s.Free()
	failed := errors.New("failed")
	if n, err := s.ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(failed))); n != 3 || !errors.Is(err, failed) || string(s.Bytes()) != "abc" {
		t.Errorf("read %d, %v, and has %q", n, err, s.Bytes())
	}
}
