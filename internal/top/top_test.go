package top

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func notes(t *Table, url string, answers ...Answer) {
	host, path, _ := strings.Cut(url, "/")
	for _, a := range answers {
		t.Note(host, "/"+path, a)
	}
}

// answersOf are answers of which each has another tag, and each but the first was asked for with the one before.
func answersOf(n int) (all []Answer) {
	for i := range n {
		all = append(all, Answer{Tag: uint64(i), Unmatched: i > 0})
	}
	return all
}

// TestRestless: what is listed, in which order, and with which figures.
func TestRestless(t *testing.T) {
	table := new(Table)
	notes(table, "a.example/steady", Answer{Tag: 1}, Answer{Tag: 1, NotModified: true}, Answer{Tag: 1})
	notes(table, "a.example/seldom", Answer{Tag: 1}, Answer{Tag: 1}, Answer{Tag: 1}, Answer{Tag: 1}, Answer{Tag: 2})
	notes(table, "a.example/once", Answer{Tag: 1, Unmatched: true})
	notes(table, "a.example/half", Answer{Tag: 1}, Answer{Tag: 2}, Answer{Tag: 2, NotModified: true})
	notes(table, "a.example/each", answersOf(4)...)
	notes(table, "b.example/each", answersOf(3)...)
	notes(table, "a.example/first", Answer{Tag: 1}, Answer{Tag: 2}, Answer{Tag: 3})
	want := []URL{
		{"a.example/each", 4, 3, 3, 0}, {"b.example/each", 3, 2, 2, 0}, {"a.example/first", 3, 2, 0, 0}, {"a.example/half", 2, 1, 0, 1},
	}
	if got := table.Restless(10); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := table.Restless(2); !reflect.DeepEqual(got, want[:2]) {
		t.Errorf("with a limit: %+v", got)
	}
}

// TestTextOfURL: what a client sends gets neither a control character nor an endless text into the list.
func TestTextOfURL(t *testing.T) {
	for _, c := range []struct{ host, path, want string }{
		{"a.example", "/caf\u00e9/\x1b[2J", "a.example/caf%C3%A9/%1B%5B2J"},
		{"a\xff.example", "/", "a\uFFFD.example/"},
		{"a.example", "", "a.example"},
		{"a.example", "/" + strings.Repeat("x", 500), "a.example/" + strings.Repeat("x", maxText-10) + "…"},
		{strings.Repeat("h", 500), "/p", strings.Repeat("h", maxText) + "…"},
	} {
		table := new(Table)
		for _, a := range answersOf(2) {
			table.Note(c.host, c.path, a)
		}
		if got := table.Restless(1); len(got) != 1 || got[0].URL != c.want {
			t.Errorf("%q %q: got %+v, want %q", c.host, c.path, got, c.want)
		}
	}
}

// TestManyURLs: a flood of URLs that are asked for twice does not make the table grow, nor does it push out those that are asked
// for all the time.
func TestManyURLs(t *testing.T) {
	table := new(Table)
	tag := uint64(0)
	for i := range 200_000 {
		tag++
		for range 2 {
			notes(table, fmt.Sprintf("a.example/flood/%d", i), Answer{Tag: tag})
		}
		if i%100 == 0 {
			notes(table, "a.example/busy", Answer{Tag: tag, Unmatched: true})
		}
	}
	all := table.Restless(2 * Size)
	if len(all) == 0 || all[0].URL != "a.example/busy" || all[0].Changed != 1999 || len(all) > Size {
		t.Errorf("%d URLs, first %+v", len(all), all[:min(1, len(all))])
	}
}

// TestNewURLsGetIn: a table that is full of steady pages has room for one that changes.
func TestNewURLsGetIn(t *testing.T) {
	table := new(Table)
	for range 20 {
		for i := range 20 * Size {
			notes(table, fmt.Sprintf("a.example/steady/%d", i), Answer{Tag: 1})
		}
	}
	notes(table, "a.example/new", answersOf(200)...)
	if all := table.Restless(10); len(all) != 1 || all[0].Changed < 150 {
		t.Errorf("%+v", all)
	}
}

func TestNilTable(t *testing.T) {
	var table *Table
	table.Note("a.example", "/", Answer{})
	if got := table.Restless(1); got == nil || len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestNoteDoesNotAllocate: neither for a URL that is known, nor for one that takes the place of another.
func TestNoteDoesNotAllocate(t *testing.T) {
	table := new(Table)
	urls := make([]string, 4*Size)
	for i := range urls {
		urls[i] = fmt.Sprint("/", i)
	}
	i := 0
	if n := testing.AllocsPerRun(20_000, func() {
		table.Note("a.example", urls[i%len(urls)], Answer{Tag: uint64(i)})
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConcurrently(t *testing.T) {
	table := new(Table)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 1000 {
				table.Note("a.example", "/one", Answer{Tag: uint64(i*4 + g)})
				if i%100 == 0 {
					table.Restless(10)
				}
			}
		})
	}
	all.Wait()
	if got := table.Restless(1); len(got) != 1 || got[0].Tagged != 4000 {
		t.Errorf("%+v", got)
	}
}

func BenchmarkNote(b *testing.B) {
	table := new(Table)
	b.ReportAllocs()
	for b.Loop() {
		table.Note("www.example.com", "/a/page/of/some/length", Answer{Tag: 1})
	}
}
