package robustness

import (
	"fmt"
	"net/http"
	"time"

	"github.com/anishathalye/porcupine"
)

// nodes is how many Caddys there are.
const nodes = 3

// kind is what an operation is.
type kind string

const (
	reading      kind = "GET"
	writing      kind = "PUT"
	guardedWrite kind = "guarded PUT"
	editing      kind = "edit" // at the upstream itself
	purging      kind = "purge"
)

// operation is one request of a client and what came of it. Times count from the beginning of the history.
type operation struct {
	Client int    `json:"client"`
	Node   int    `json:"node"` // that was asked
	Kind   kind   `json:"kind"`
	ID     string `json:"id"` // by which the upstream knows it
	URL    string `json:"url"`

	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
	// Named is the version whose tag the condition has; 0: there is none.
	Named  int    `json:"named,omitempty"`
	Status int    `json:"status,omitempty"` // 0: there was no answer
	Error  string `json:"error,omitempty"`

	// Version is what a 200 has shown, or what the upstream says that a write has made; 0: none.
	Version int           `json:"version,omitempty"`
	Applied time.Duration `json:"applied,omitempty"` // when the upstream made it
	Times   int           `json:"times,omitempty"`   // how often it did, for one write
	Asked   bool          `json:"asked,omitempty"`   // a read has reached the upstream
}

func (o *operation) writes() bool {
	return o.Kind == writing || o.Kind == guardedWrite || o.Kind == editing
}

// succeeded reports whether a client was told so.
func (o *operation) succeeded() bool { return o.Status >= 200 && o.Status < 300 }

// fromMemory reports whether it is a 304 that no upstream was asked for.
func (o *operation) fromMemory() bool {
	return o.Kind == reading && o.Status == http.StatusNotModified && !o.Asked
}

func (o *operation) String() string {
	switch {
	case o.Kind == editing:
		return fmt.Sprintf("edit: v%d", o.Version)
	case o.Kind == reading && o.Status == http.StatusOK:
		return fmt.Sprintf("node %d: GET: v%d", o.Node, o.Version)
	case o.fromMemory():
		return fmt.Sprintf("node %d: GET: 304 to v%d, from memory", o.Node, o.Named)
	case o.Kind == reading:
		return fmt.Sprintf("node %d: GET: %d to v%d, by the upstream", o.Node, o.Status, o.Named)
	}
	text := fmt.Sprintf("node %d: %s", o.Node, o.Kind)
	if o.Named > 0 {
		text += fmt.Sprintf(" upon v%d", o.Named)
	}
	text += fmt.Sprintf(": %d", o.Status)
	if o.Version > 0 {
		text += fmt.Sprintf(", made v%d", o.Version)
	}
	return text
}

// deadline is when a node has to know that there is a version: from then on it answers no older one from memory.
type deadline struct {
	Node    int
	Version int
	At      time.Duration
}

func (d deadline) String() string {
	return fmt.Sprintf("node %d has to know of v%d", d.Node, d.Version)
}

// page is the state of a URL: its version at the upstream, and the oldest one that each node may answer from memory.
type page struct {
	current int
	oldest  [nodes]int
}

// firstVersion is that of a page which nobody has written yet.
const firstVersion = 1

// model is a page as porcupine judges it. A history of one URL is its operations and the deadlines that follow from
// them; deadlines have no duration, so that they cost no search.
var model = porcupine.Model{
	Init: func() any { return page{current: firstVersion} },
	Step: func(state, input, _ any) (bool, any) {
		p := state.(page)
		if d, ok := input.(deadline); ok {
			p.oldest[d.Node] = max(p.oldest[d.Node], d.Version)
			return true, p
		}
		o := input.(*operation)
		if o.writes() {
			return p.write(o)
		}
		return p.mayAnswer(o), p
	},
	DescribeOperation: func(input, _ any) string { return input.(fmt.Stringer).String() },
	DescribeState: func(state any) string {
		p := state.(page)
		return fmt.Sprintf("v%d; from memory v%v and later", p.current, p.oldest)
	},
}

// mayAnswer is for reads.
func (p page) mayAnswer(o *operation) bool {
	switch {
	case o.Status == http.StatusOK:
		return o.Asked && o.Version == p.current
	case o.fromMemory():
		return p.oldest[o.Node] <= o.Named && o.Named <= p.current
	}
	return o.Named == p.current // the upstream's word
}

// write is a write that was made, or refused. The upstream counts versions, so that their order is known.
func (p page) write(o *operation) (bool, page) {
	if o.Kind == guardedWrite && o.Status == http.StatusPreconditionFailed {
		return o.Version == 0 && o.Named != p.current, p
	}
	if o.Version != p.current+1 || o.Times > 1 {
		return false, p // it was never made, or twice
	}
	if o.Kind == guardedWrite && o.Named != p.current {
		return false, p // another one's write is lost
	}
	p.current = o.Version
	return true, p
}

// counts reports whether an operation says something. What failed, and was not made, does not.
func (o *operation) counts() bool {
	switch {
	case o.Kind == purging:
		return false // its deadlines do
	case o.Kind == reading:
		return o.Status == http.StatusOK || o.Status == http.StatusNotModified
	}
	return o.Version > 0 || o.succeeded() || o.Status == http.StatusPreconditionFailed
}

// interval is when an operation has taken effect. What was written without the client knowing is so when the upstream says.
func (o *operation) interval() (from, to time.Duration) {
	if o.writes() && o.Version > 0 && !o.succeeded() {
		return o.Call, max(o.Applied, o.Call)
	}
	return o.Call, o.Return
}

// forPorcupine is the history of one URL. Deadlines stand behind the clients, one line for each node.
func forPorcupine(operations []*operation, deadlines []deadline, clients int) []porcupine.Operation {
	var all []porcupine.Operation
	for _, o := range operations {
		if o.counts() {
			from, to := o.interval()
			all = append(all, porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(from), Return: int64(to), Metadata: o.ID})
		}
	}
	for _, d := range deadlines {
		all = append(all, porcupine.Operation{ClientId: clients + d.Node, Input: d, Call: int64(d.At), Return: int64(d.At)})
	}
	return all
}
