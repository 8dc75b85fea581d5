package robustness

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"time"
)

// What docs/redis.md, docs/remember.md and docs/scaling.md promise.
const (
	// window is for how long copies in a process are believed after the server was last heard, and so the most that
	// another node is out of date.
	window = 2 * time.Second
	// reconnecting is how long a node that was cut off may take to tell what was written there.
	reconnecting = 10 * time.Second
	// ttl is what remember has in the configuration.
	ttl = 30 * time.Second
	// again is how often a write without an answer is forgotten once more, for a minute.
	again = time.Second
)

// What the test allows besides.
const (
	// underWay is how old an answer may be when a node receives it, which was paused or short of time meanwhile.
	underWay = 6 * time.Second
	// lag is how far a replica may be behind.
	lag = 2 * time.Second
	// tick is for a goroutine that does something each second.
	tick = time.Second
)

const forever = time.Duration(math.MaxInt64)

// allNodes is the number of a node in a fault that all of them see.
const allNodes = -1

// effect is what a fault does, as far as promises depend on it.
type effect string

const (
	cut    effect = "cut"    // the node cannot reach the server, or may not have done in time
	killed effect = "killed" // the node has lost what only it knew
	lost   effect = "lost"   // the server has lost the last writes to it
)

// fault is something that was done to a part. Times count from the beginning of the history.
type fault struct {
	Name   string        `json:"name"`
	Effect effect        `json:"effect"`
	Node   int           `json:"node"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
}

func (f *fault) concerns(node int) bool { return f.Node == node || f.Node == allNodes }

// history is what there was in one run of the traffic.
type history struct {
	Operations []*operation
	Faults     []fault
	Shifted    time.Duration // the most that a clock was set by
}

// told is when the server knows at the latest what a node has to tell it from call on, and has said that it has at ret. It
// is forever if that may be never.
func (h *history) told(node int, call, ret time.Duration) time.Duration {
	told := ret
	for longer := true; longer; {
		longer = false
		for _, f := range h.Faults {
			end := f.To + reconnecting
			if f.Effect == cut && f.concerns(node) && f.From <= told && call <= end && told < end {
				told, longer = end, true
			}
		}
	}
	if told > ret && h.wasKilled(node, call, told) || h.wasLost(call, told) {
		return forever
	}
	return told
}

// wasLost reports whether the server has lost what it was told in a time.
func (h *history) wasLost(from, to time.Duration) bool {
	for _, f := range h.Faults {
		if f.Effect == lost && from <= f.From && to >= f.From-lag {
			return true
		}
	}
	return false
}

// wasKilled reports whether a node was killed in a time.
func (h *history) wasKilled(node int, from, to time.Duration) bool {
	for _, f := range h.Faults {
		if f.Effect == killed && f.concerns(node) && f.From >= from && f.From <= to {
			return true
		}
	}
	return false
}

// knows is when a node has to know of a write. At the latest that is when all records from before have ended.
func (h *history) knows(o *operation, node int) time.Duration {
	end := o.Applied + ttl + underWay + h.Shifted
	switch {
	case o.Kind == editing:
		return end
	case o.succeeded():
		return min(end, h.knowsAnswered(o.Node, node, o.Call, o.Return))
	case o.Status == http.StatusBadGateway && !h.wasKilled(o.Node, o.Call, forever):
		return min(end, h.knowsUnanswered(o, node))
	}
	return end
}

// knowsAnswered is for what a client was told that it is done. The node that has done it knows at once, as long as it
// lives.
func (h *history) knowsAnswered(by, node int, call, ret time.Duration) time.Duration {
	told := h.told(by, call, ret)
	if by == node && (told == ret || !h.wasKilled(by, call, told)) {
		return ret
	}
	if told == forever {
		return forever
	}
	return told + window
}

// knowsUnanswered is for a write that the upstream has done, or does later, and has not answered: for a minute, the node
// asks the upstream, and has others forget again and again.
func (h *history) knowsUnanswered(o *operation, node int) time.Duration {
	done := max(o.Applied, o.Return)
	if node == o.Node {
		return done
	}
	if told := h.told(o.Node, o.Call, done+again+tick); told != forever {
		return told + window
	}
	return forever
}

// deadlines are those of one URL.
func (h *history) deadlines(operations []*operation) []deadline {
	var all []deadline
	add := func(node, version int, at time.Duration) {
		if at != forever {
			all = append(all, deadline{Node: node, Version: version, At: at})
		}
	}
	for _, o := range operations {
		switch {
		case o.writes() && o.Version > 0:
			for node := range nodes {
				add(node, o.Version, h.knows(o, node))
			}
		case o.Kind == purging && o.Status == http.StatusOK:
			version := latest(operations, o.Call)
			for node := range nodes {
				add(node, version, h.knowsPurge(o, node))
			}
		}
	}
	return necessary(all)
}

// necessary leaves out what others imply, as many would be due at the same time, and porcupine would try them in every
// order.
func necessary(deadlines []deadline) (kept []deadline) {
	slices.SortFunc(deadlines, func(a, b deadline) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Version, a.Version)) })
	var known [nodes]int
	for _, d := range deadlines {
		if d.Version > known[d.Node] {
			known[d.Node] = d.Version
			kept = append(kept, d)
		}
	}
	return kept
}

// knowsPurge is when a node has to know of a purge that was answered with success, and so has reached the server.
func (h *history) knowsPurge(o *operation, node int) time.Duration {
	if node == o.Node {
		return o.Return
	}
	if h.wasLost(o.Call, o.Return) {
		return forever
	}
	return o.Return + window
}

// latest is the version that the upstream had at a time.
func latest(operations []*operation, at time.Duration) int {
	version := firstVersion
	for _, o := range operations {
		if o.writes() && o.Version > version && o.Applied <= at {
			version = o.Version
		}
	}
	return version
}
