package truth

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Site is what is promised by the configuration in front of a site, whichever of its variants is loaded.
type Site struct {
	Name string
	// Window is how long a 304 from memory may stand for what has changed behind the server's back. Zero: nothing is
	// remembered.
	Window time.Duration
	// Strong: every whole answer has a tag that If-Match can name.
	Strong bool
}

// Style is what the pages of a place are like, and how the upstream sends them.
type Style struct {
	Name     string
	Personal bool // every user has a page of his own
	Edited   bool // is written only upon a version that the writer knows
	Form     bool // has a token and a nonce, other ones each time
	Template bool // what lies on disk is made a page by Caddy's templates
	Dated    bool // has a Last-Modified
	Tagged   bool // has an entity tag of the upstream
	Weak     bool // and that is weak
	Chunked  bool
	Hints    bool // 103 goes before it
	Long     bool
	Cache    string // Cache-Control
	Vary     string
}

// Stored is what a client has kept of an answer.
type Stored struct {
	Page    *Page
	Version int
	Tag     string // ETag; empty: it had none
	Date    string // Last-Modified; empty: it had none
}

// keepsStored is how many of these a place remembers.
const keepsStored = 24

// Place is what one URL stands for. It may be used concurrently.
type Place struct {
	Site  *Site
	Path  string
	Style *Style

	pages []*Page

	mu     sync.Mutex
	stored []Stored
	tags   map[string]Stored // by what nameOf makes of them
}

// Page is what a place shows to one user, or to all.
type Page struct {
	Place *Place
	User  string // empty: a guest, or everybody

	mu       sync.Mutex
	versions []version
	settled  int
	text     string // of version textOf
	textOf   int
}

// version is what a page was at a time.
type version struct {
	from time.Time // before it nobody can have seen this version
	sure time.Time // after it nobody can have seen the one before
	gone bool
}

// Users are those who ask: a guest and two who have signed in.
var Users = []string{"", "ann", "bob"}

// NewPlace returns a place whose pages are in their first version.
func NewPlace(site *Site, path string, style *Style, now time.Time) *Place {
	p := &Place{Site: site, Path: path, Style: style, tags: make(map[string]Stored)}
	for _, user := range Users {
		if user == "" || style.Personal {
			p.pages = append(p.pages, &Page{Place: p, User: user, textOf: -1, versions: []version{{from: now, sure: now}}})
		}
	}
	return p
}

// Of is the page that a user is to see.
func (p *Place) Of(user string) *Page {
	if !p.Style.Personal {
		return p.pages[0]
	}
	return p.pages[max(slices.Index(Users, user), 0)]
}

// Keep notes what a client has of an answer.
func (p *Place) Keep(s Stored) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stored = append(p.stored, s); len(p.stored) > keepsStored {
		p.stored = slices.Delete(p.stored, 0, len(p.stored)-keepsStored)
	}
}

// Any is something that a client has, mostly of the user's own page; ok is false while there is nothing.
func (p *Place) Any(user string, rnd *rand.Rand) (s Stored, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.stored) == 0 {
		return Stored{}, false
	}
	s = p.stored[len(p.stored)-1-rnd.IntN(min(4, len(p.stored)))]
	if s.Page.User == user || rnd.IntN(3) == 0 {
		return s, true
	}
	for _, own := range slices.Backward(p.stored) {
		if own.Page == p.Of(user) {
			return own, true
		}
	}
	return s, true
}

// Latest is the last that anybody has got of a page with a tag.
func (p *Page) Latest() (s Stored, ok bool) {
	p.Place.mu.Lock()
	defer p.Place.mu.Unlock()
	for _, s := range slices.Backward(p.Place.stored) {
		if s.Page == p && s.Tag != "" {
			return s, true
		}
	}
	return Stored{}, false
}

// Now is the version that is current, and whether that is none any more.
func (p *Page) Now() (n int, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.versions) - 1, p.versions[len(p.versions)-1].gone
}

// Change makes a new version the current one, and returns its number.
func (p *Page) Change(now func() time.Time, gone bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.change(now(), gone)
}

func (p *Page) change(now time.Time, gone bool) int {
	p.versions = append(p.versions, version{from: now, sure: now, gone: gone})
	return len(p.versions) - 1
}

// Base is what a write rests on: a version that its client knows, or that there is none.
type Base struct {
	Version int
	Gone    bool
}

// ChangeUpon is Change, if what is current is what the write rests on. Else it says what is wrong.
func (p *Page) ChangeUpon(base Base, now func() time.Time, gone bool) (n int, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	current := len(p.versions) - 1
	switch isGone := p.versions[current].gone; {
	case base.Gone && !isGone:
		return 0, fmt.Sprintf("a lost update: it was to make a page where none is, and version %d is there", current)
	case !base.Gone && base.Version != current:
		return 0, fmt.Sprintf("a lost update: it was to replace version %d, and would have replaced version %d", base.Version, current)
	}
	return p.change(now(), gone), ""
}

// ChangeBy makes a new version by something that takes a while, in which either version may be seen.
func (p *Page) ChangeBy(now func() time.Time, do func(version int, text string) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, from := len(p.versions), now()
	err := do(n, p.textAt(n))
	p.versions = append(p.versions, version{from: from, sure: now()})
	return err
}

// Settle says that no version older than this may be confirmed from memory any longer.
func (p *Page) Settle(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = max(p.settled, n)
}

// Settled is the oldest version that may still be confirmed from memory.
func (p *Page) Settled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settled
}

// current are the versions that somebody may have seen between two moments: from first to last.
func (p *Page) current(start, end time.Time) (first, last int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last = len(p.versions) - 1
	for last > 0 && p.versions[last].from.After(end) {
		last--
	}
	first = last
	for first > 0 && !p.versions[first].sure.Before(start) {
		first--
	}
	return first, last
}

// wasGone reports whether one of some versions was none.
func (p *Page) wasGone(first, last int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.versions[first:last+1], func(v version) bool { return v.gone })
}

// Timeline is what became of a page around a request.
func (p *Page) Timeline(start, end time.Time) string {
	var text strings.Builder
	_, last := p.current(start, end)
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := max(last-8, 0); n < min(last+4, len(p.versions)); n++ {
		v := p.versions[n]
		fmt.Fprintf(&text, "  version %d from %+.3f ms, surely from %+.3f ms", n, since(start, v.from), since(start, v.sure))
		if v.gone {
			text.WriteString(", gone")
		}
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "  the request began at 0 and ended at %+.3f ms; settled by now is version %d\n", since(start, end), p.settled)
	return text.String()
}

func since(start, t time.Time) float64 { return float64(t.Sub(start).Microseconds()) / 1000 }

// Write is a write under way, of which the upstream tells when it is done, and the client when it was answered. What was
// answered and is done is settled; so is at once what is done after it was answered.
type Write struct {
	Page *Page
	Base *Base // nil: it rests on nothing
	Size int   // of its content

	mu       sync.Mutex
	done     bool
	answered bool
	version  int
}

// Done says which version it has made.
func (w *Write) Done(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done, w.version = true, n
	w.settle()
}

// Answered says that its client was told what became of it, or that nobody knows.
func (w *Write) Answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answered = true
	w.settle()
}

// Made is the version that it has made; ok is false if it has made none.
func (w *Write) Made() (n int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version, w.done
}

func (w *Write) settle() {
	if w.done && w.answered {
		w.Page.Settle(w.version)
	}
}
