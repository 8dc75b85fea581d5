package robustness

import (
	"net/http"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const s = time.Second

// The operations of the cases below, which are on one page. Guarded writes and purges are at node 0, which is the one that
// is killed.

func read(node int, at time.Duration, version int) *operation {
	return &operation{Node: node, Kind: reading, Call: at, Return: at + s/100, Status: http.StatusOK, Version: version, Asked: true}
}

func confirmed(node int, at time.Duration, named int) *operation {
	return &operation{Node: node, Kind: reading, Call: at, Return: at + s/100, Status: http.StatusNotModified, Named: named, Asked: true}
}

func recalled(node int, at time.Duration, named int) *operation {
	o := confirmed(node, at, named)
	o.Asked = false
	return o
}

func write(node int, at time.Duration, version int) *operation {
	return &operation{
		Node: node, Kind: writing, Call: at, Return: at + s/50, Status: http.StatusNoContent, Version: version, Times: 1, Applied: at + s/100,
	}
}

func guarded(at time.Duration, named, version int) *operation {
	o := write(0, at, version)
	o.Kind, o.Named = guardedWrite, named
	return o
}

func edit(at time.Duration) *operation {
	o := write(0, at, 2)
	o.Kind = editing
	return o
}

func purge(at time.Duration, status int) *operation {
	return &operation{Kind: purging, Call: at, Return: at + s/100, Status: status}
}

// but is an operation with something else about it.
func but(o *operation, change func(o *operation)) *operation {
	change(o)
	return o
}

func unanswered(o *operation) { o.Status, o.Return = 0, forever }

func badGateway(o *operation) { o.Status = http.StatusBadGateway }

func refused(o *operation) { o.Status, o.Version = http.StatusPreconditionFailed, 0 }

// cutOff is a fault by which a node, or all of them, cannot reach the server.
func cutOff(node int, from, to time.Duration) fault {
	return fault{Effect: cut, Node: node, From: from, To: to}
}

func killedAt(at time.Duration) fault {
	return fault{Effect: killed, From: at, To: at}
}

type testCase struct {
	legal      bool
	operations []*operation
	faults     []fault
}

func (c *testCase) check(t *testing.T) {
	t.Helper()
	h := history{Operations: c.operations, Faults: c.faults}
	all := forPorcupine(c.operations, h.deadlines(c.operations), 1)
	if got := porcupine.CheckOperations(model, all); got != c.legal {
		t.Errorf("legal: %t, want %t", got, c.legal)
	}
}

func check(t *testing.T, cases map[string]testCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, c.check)
	}
}

func TestModelOfReads(t *testing.T) {
	check(t, map[string]testCase{
		"nothing has changed":                        {true, []*operation{read(0, 1*s, 1), recalled(1, 2*s, 1), confirmed(2, 3*s, 1)}, nil},
		"the new version":                            {true, []*operation{write(0, 1*s, 2), read(1, 2*s, 2), recalled(2, 3*s, 2)}, nil},
		"the upstream was asked, and it is outdated": {false, []*operation{write(0, 1*s, 2), read(1, 2*s, 1)}, nil},
		"so is what it has confirmed":                {false, []*operation{write(0, 1*s, 2), confirmed(1, 2*s, 1)}, nil},
		"a version that never was":                   {false, []*operation{read(0, 1*s, 2)}, nil},
		"a tag of a version that never was":          {false, []*operation{recalled(0, 1*s, 2)}, nil},
		"a page that nobody was asked for":           {false, []*operation{but(read(0, 1*s, 1), func(o *operation) { o.Asked = false })}, nil},
		"while it is written, either":                {true, []*operation{write(0, 1*s, 2), read(1, 1*s, 2), read(2, 1*s+s/100, 1)}, nil},
		"back again":                                 {false, []*operation{write(0, 1*s, 2), read(1, 1*s, 2), read(2, 1*s+s/50, 1)}, nil},
	})
}

func TestModelOfTheWindow(t *testing.T) {
	check(t, map[string]testCase{
		"another node, in time":          {true, []*operation{write(0, 1*s, 2), recalled(1, 3*s, 1)}, nil},
		"another node, too late":         {false, []*operation{write(0, 1*s, 2), recalled(1, 3*s+s/20, 1)}, nil},
		"asked in time, answered late":   {true, []*operation{write(0, 1*s, 2), but(recalled(1, 3*s, 1), func(o *operation) { o.Return = 9 * s })}, nil},
		"the node of the write":          {false, []*operation{write(0, 1*s, 2), recalled(0, 1*s+s/20, 1)}, nil},
		"the node, before its answer":    {true, []*operation{write(0, 1*s, 2), recalled(0, 1*s+s/100, 1)}, nil},
		"two writes by two nodes":        {false, []*operation{write(0, 1*s, 2), write(1, 2*s, 3), recalled(1, 2*s+s/20, 1)}, nil},
		"one version back, in time":      {true, []*operation{write(0, 1*s, 2), write(2, 2*s, 3), recalled(1, 3*s+s/2, 2)}, nil},
		"two versions back, late":        {false, []*operation{write(0, 1*s, 2), write(2, 2*s, 3), recalled(1, 3*s+s/2, 1)}, nil},
		"an older one after a newer one": {true, []*operation{write(0, 1*s, 2), recalled(1, 2*s, 2), recalled(1, 2*s+s/2, 1)}, nil},
		"an edit is not known before the ttl is over": {
			true, []*operation{read(0, 1*s, 1), edit(2 * s), recalled(0, 31*s, 1)}, nil,
		},
		"and then it is":                          {false, []*operation{read(0, 1*s, 1), edit(2 * s), recalled(0, 39*s, 1)}, nil},
		"a purge at the node":                     {false, []*operation{edit(1 * s), purge(2*s, http.StatusOK), recalled(0, 2*s+s/20, 1)}, nil},
		"a purge elsewhere, in time":              {true, []*operation{edit(1 * s), purge(2*s, http.StatusOK), recalled(1, 3*s, 1)}, nil},
		"a purge elsewhere, not heeded":           {false, []*operation{edit(1 * s), purge(2*s, http.StatusOK), recalled(1, 5*s, 1)}, nil},
		"a purge that has failed":                 {true, []*operation{edit(1 * s), purge(2*s, http.StatusServiceUnavailable), recalled(0, 5*s, 1)}, nil},
		"a purge does not know of what comes":     {true, []*operation{purge(1*s, http.StatusOK), edit(2 * s), recalled(0, 5*s, 1)}, nil},
		"nobody can know":                         {true, []*operation{but(write(0, 1*s, 2), unanswered), recalled(0, 5*s, 1)}, nil},
		"unanswered by the upstream, at the node": {false, []*operation{but(write(0, 1*s, 2), badGateway), recalled(0, 2*s, 1)}, nil},
		"unanswered by the upstream, elsewhere":   {true, []*operation{but(write(0, 1*s, 2), badGateway), recalled(1, 4*s, 1)}, nil},
		"and later":                               {false, []*operation{but(write(0, 1*s, 2), badGateway), recalled(1, 6*s, 1)}, nil},
	})
}

func TestModelOfFaults(t *testing.T) {
	check(t, map[string]testCase{
		"the reader is cut off":                   {false, []*operation{write(0, 2*s, 2), recalled(1, 5*s, 1)}, []fault{cutOff(1, 1*s, 9*s)}},
		"the writer is, and others cannot know":   {true, []*operation{write(0, 2*s, 2), recalled(1, 5*s, 1)}, []fault{cutOff(0, 1*s, 9*s)}},
		"but it does itself":                      {false, []*operation{write(0, 2*s, 2), recalled(0, 5*s, 1)}, []fault{cutOff(0, 1*s, 9*s)}},
		"it is back":                              {true, []*operation{write(0, 2*s, 2), recalled(1, 14*s, 1)}, []fault{cutOff(0, 1*s, 3*s)}},
		"it has been back for long":               {false, []*operation{write(0, 2*s, 2), recalled(1, 16*s, 1)}, []fault{cutOff(0, 1*s, 3*s)}},
		"cut off again before it could tell":      {true, []*operation{write(0, 2*s, 2), recalled(1, 16*s, 1)}, []fault{cutOff(0, 1*s, 3*s), cutOff(0, 6*s, 8*s)}},
		"all are cut off":                         {true, []*operation{write(0, 2*s, 2), recalled(1, 5*s, 1)}, []fault{cutOff(allNodes, 1*s, 3*s)}},
		"the cut is over when it writes":          {false, []*operation{write(0, 20*s, 2), recalled(1, 23*s, 1)}, []fault{cutOff(0, 1*s, 3*s)}},
		"a killed node had told":                  {false, []*operation{write(0, 2*s, 2), recalled(1, 5*s, 1)}, []fault{killedAt(3 * s)}},
		"so it knows itself when it is back":      {false, []*operation{write(0, 2*s, 2), recalled(0, 5*s, 1)}, []fault{killedAt(3 * s)}},
		"a node that is killed while cut off":     {true, []*operation{write(0, 2*s, 2), recalled(1, 20*s, 1), recalled(0, 20*s, 1)}, []fault{cutOff(0, 1*s, 9*s), killedAt(4 * s)}},
		"then the ttl ends it":                    {false, []*operation{write(0, 2*s, 2), recalled(1, 39*s, 1)}, []fault{cutOff(0, 1*s, 9*s), killedAt(4 * s)}},
		"a primary is lost, and a write with it":  {true, []*operation{write(0, 2*s, 2), recalled(1, 9*s, 1)}, []fault{{Effect: lost, Node: allNodes, From: 3 * s, To: 5 * s}}},
		"which has been at the replica for long":  {false, []*operation{write(0, 2*s, 2), recalled(1, 9*s, 1)}, []fault{{Effect: lost, Node: allNodes, From: 7 * s, To: 8 * s}}},
		"a purge is lost with it as well":         {true, []*operation{edit(1 * s), purge(2*s, http.StatusOK), recalled(1, 9*s, 1)}, []fault{{Effect: lost, Node: allNodes, From: 3 * s, To: 5 * s}}},
		"a node that is killed and did not reply": {true, []*operation{but(write(0, 2*s, 2), badGateway), recalled(1, 9*s, 1)}, []fault{killedAt(3 * s)}},
	})
}

func TestModelOfWrites(t *testing.T) {
	check(t, map[string]testCase{
		"one after the other": {true, []*operation{guarded(1*s, 1, 2), guarded(2*s, 2, 3)}, nil},
		"a lost update":       {false, []*operation{guarded(1*s, 1, 2), guarded(2*s, 1, 3)}, nil},
		"a lost update at the same time": {
			false, []*operation{guarded(1*s, 1, 2), guarded(1*s, 1, 3)}, nil,
		},
		"one of two is refused":         {true, []*operation{guarded(1*s, 1, 2), but(guarded(1*s, 1, 0), refused)}, nil},
		"refused without a reason":      {false, []*operation{but(guarded(1*s, 1, 0), refused)}, nil},
		"refused, and made":             {false, []*operation{guarded(1*s, 1, 2), but(guarded(2*s, 1, 3), func(o *operation) { o.Status = http.StatusPreconditionFailed })}, nil},
		"acknowledged, and never made":  {false, []*operation{guarded(1*s, 1, 0)}, nil},
		"made twice":                    {false, []*operation{but(write(0, 1*s, 2), func(o *operation) { o.Times = 2 })}, nil},
		"failed, and not made":          {true, []*operation{but(guarded(1*s, 5, 0), func(o *operation) { o.Status = http.StatusServiceUnavailable }), read(0, 2*s, 1)}, nil},
		"made without an answer":        {true, []*operation{but(guarded(1*s, 1, 2), unanswered), read(0, 2*s, 2)}, nil},
		"another one's lost by that":    {false, []*operation{but(guarded(1*s, 1, 2), unanswered), guarded(2*s, 1, 3)}, nil},
		"made later, upon another":      {false, []*operation{but(guarded(1*s, 1, 3), func(o *operation) { badGateway(o); o.Applied = 3 * s }), guarded(2*s, 1, 2)}, nil},
		"plain writes may undo another": {true, []*operation{write(0, 1*s, 2), write(1, 1*s, 3), read(2, 2*s, 3)}, nil},
	})
}
