package exchange

import (
	"fmt"
	"strings"
)

// phase is how far an exchange has come. A phase is entered as it begins; the comments say what is so when it is over.
type phase uint8

const (
	idle     phase = iota // in the pool, or fresh
	arrived               // the facts of the request are read
	recalled              // the memory was asked; where it has answered, ended is next
	shown                 // the request is what the next handler is to see, and the writer is ready
	headed                // the next handler has written a head, and what that selects is known
	answered              // the head was enough: 304, 412, 416, the head of a HEAD; or the next handler is to be asked again
	sliced                // 206 out of the passing body
	streamed              // the response passes
	held                  // it is kept back, to be tagged
	whole                 // all of it is here: 200, 206, 304, 412 or 416
	ended                 // the answer is out, or an error is on its way; Leave gives the request its fields back
)

// phaseSet has a bit for each phase in it.
type phaseSet uint16

func setOf(all ...phase) (set phaseSet) {
	for _, p := range all {
		set |= 1 << p
	}
	return set
}

func (s phaseSet) has(p phase) bool { return s&(1<<p) != 0 }

// phases is the life of an exchange: of each phase its name, what may come next, and what happens in it. The picture
// in the package's documentation is made of it.
var phases = [...]struct {
	name, does string
	next       phaseSet
}{
	idle:     {"idle", "waits in the pool", setOf(arrived)},
	arrived:  {"arrive", "reads the facts of the request; what is none of ours passes", setOf(recalled, shown, ended)},
	recalled: {"recall", "asks the memory, and answers 304 from it if a condition matches", setOf(shown, ended)},
	shown:    {"show", "makes the request what the next handler is to see, and calls it", setOf(headed, ended)},
	headed:   {"head", "reads what the head selects, and judges what can be judged by it", setOf(answered, sliced, streamed, held, ended)},
	answered: {"answer", "304, 412 or 416, or the head alone; the body is thrown away", setOf(ended)},
	sliced:   {"slice", "206, a part of the passing body", setOf(ended)},
	streamed: {"stream", "the response passes, its head put in order", setOf(ended)},
	held:     {"hold", "keeps the response back; too long or too late, and it is another one of these", setOf(answered, sliced, streamed, whole, ended)},
	whole:    {"whole", "makes the tag, judges by it, and sends 200, 206, 304, 412 or 416", setOf(ended)},
	ended:    {"end", "gives the request its fields back, and what is behind it to the pool", setOf(idle)},
}

// enter takes the next step. One that the table does not have is a mistake of this package, and is found by the first
// test that comes by.
func (x *Exchange) enter(next phase) {
	if !phases[x.phase].next.has(next) {
		panic(fmt.Sprintf("conditional_cache: no way from %s to %s", phases[x.phase].name, phases[next].name))
	}
	x.phase = next
}

// picture draws the table, for the package's documentation.
func picture() string {
	var b strings.Builder
	for _, p := range phases {
		var names []string
		for next := range phases {
			if p.next.has(phase(next)) {
				names = append(names, phases[next].name)
			}
		}
		fmt.Fprintf(&b, "//\t%-7s ─▶ %s\n//\t           %s\n", p.name, strings.Join(names, ", "), p.does)
	}
	return b.String()
}
