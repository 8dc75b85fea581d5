//go:build unix

package robustness

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// judging is how long porcupine may take for one page. It takes some milliseconds, where nothing is wrong.
const judging = time.Minute

// violation is what must not be.
type violation struct {
	URL  string
	Says string
	info *porcupine.LinearizationInfo // nil: there is no picture
}

func (v violation) String() string { return v.URL + ": " + v.Says }

// byURL are the operations of each page.
func (h *history) byURL() map[string][]*operation {
	all := make(map[string][]*operation)
	for _, o := range h.Operations {
		all[o.URL] = append(all[o.URL], o)
	}
	return all
}

// validate judges a history.
func (h *history) validate() []violation {
	var all []violation
	pages := h.byURL()
	for _, url := range slices.Sorted(maps.Keys(pages)) {
		if v := h.validatePage(url, pages[url]); v != nil {
			all = append(all, *v)
		}
	}
	for _, o := range h.Operations {
		if o.Kind == reading && !o.counts() && !h.wasKilledDuring(o) {
			all = append(all, violation{URL: o.URL, Says: fmt.Sprintf("a read has failed: %v %s", o, o.Error)})
		}
	}
	return all
}

// wasKilledDuring reports whether the node of an operation was down meanwhile.
func (h *history) wasKilledDuring(o *operation) bool {
	for _, f := range h.Faults {
		if f.Effect == killed && f.concerns(o.Node) && f.From <= o.Return && o.Call <= f.To {
			return true
		}
	}
	return false
}

func (h *history) validatePage(url string, operations []*operation) *violation {
	all := forPorcupine(operations, h.deadlines(operations), clients+1)
	result, info := porcupine.CheckOperationsVerbose(model, all, judging)
	if result == porcupine.Ok {
		return nil
	}
	for _, f := range h.Faults {
		info.AddAnnotations([]porcupine.Annotation{{
			Tag: "faults", Start: int64(f.From), End: int64(f.To), Description: fmt.Sprintf("%s (%s, node %d)", f.Name, f.Effect, f.Node), BackgroundColor: "#f9d9d9",
		}})
	}
	if result == porcupine.Unknown {
		return &violation{url, fmt.Sprintf("not judged within %s", judging), &info}
	}
	return &violation{url, culprit(all, &info), &info}
}

// culprit is the first operation that has no place in the longest order of operations that there may have been.
func culprit(all []porcupine.Operation, info *porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, some := range info.PartialLinearizationsOperations()[0] {
		if len(some) > len(longest) {
			longest = some
		}
	}
	placed := make(map[any]bool)
	for _, o := range longest {
		placed[o.Input] = true
	}
	first := porcupine.Operation{Return: int64(forever)}
	for _, o := range all {
		if !placed[o.Input] && o.Return < first.Return {
			first = o
		}
	}
	state := page{current: firstVersion}
	for _, o := range longest {
		_, next := model.Step(state, o.Input, nil)
		state = next.(page)
	}
	return fmt.Sprintf("%v, between %s and %s, cannot be: %s", first.Input, time.Duration(first.Call), time.Duration(first.Return), model.DescribeState(state))
}

// ages are how old the oldest answers from memory were: how long after a newer version was answered, or made, they
// were asked for.
type ages struct {
	told     time.Duration // the node of the write could tell, and it is another one
	cutOff   time.Duration // it could not, in time
	unknown  time.Duration // the write was not answered, or the page was edited; counted from when it was made
	outdated int
	recalled int
}

func (a *ages) add(b ages) {
	a.told, a.cutOff, a.unknown = max(a.told, b.told), max(a.cutOff, b.cutOff), max(a.unknown, b.unknown)
	a.outdated += b.outdated
	a.recalled += b.recalled
}

func (a *ages) String() string {
	return fmt.Sprintf("%d answers from memory, %d of them outdated, by at most %.2f s; after a write at a node that is cut off %.2f s; that nobody could know of %.2f s",
		a.recalled, a.outdated, a.told.Seconds(), a.cutOff.Seconds(), a.unknown.Seconds())
}

// measure finds the ages of a history.
func (h *history) measure() ages {
	var all ages
	for _, operations := range h.byURL() {
		made := make(map[int]*operation)
		for _, o := range operations {
			if o.writes() && o.Version > 0 {
				made[o.Version] = o
			}
		}
		for _, o := range operations {
			if !o.fromMemory() {
				continue
			}
			all.recalled++
			if newer := made[o.Named+1]; newer != nil {
				all.add(h.age(o, newer))
			}
		}
	}
	return all
}

// age is that of an answer for which there is a newer version.
func (h *history) age(o, newer *operation) (a ages) {
	switch known := h.told(newer.Node, newer.Call, newer.Return); {
	case newer.Kind == editing || !newer.succeeded() || known == forever:
		a.unknown = o.Call - newer.Applied
	case known > newer.Return:
		a.cutOff = o.Call - newer.Return
	default:
		a.told = o.Call - newer.Return
	}
	if max(a.told, a.cutOff, a.unknown) > 0 {
		a.outdated = 1
	}
	return a
}
