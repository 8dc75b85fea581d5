package storetest_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/storetest"
)

func opener(fault string) func(t *testing.T) validators.Store {
	return func(t *testing.T) validators.Store {
		t.Helper()
		n := newHub(fault).node()
		t.Cleanup(func() { n.closed = true })
		return n
	}
}

func sharedOpener(fault string) func(t *testing.T) (a, b validators.Store) {
	return func(t *testing.T) (a, b validators.Store) {
		t.Helper()
		h := newHub(fault)
		if fault == "two stores" {
			return h.node(), newHub("").node()
		}
		return h.node(), h.node()
	}
}

func TestRun(t *testing.T) {
	storetest.Run(t, opener(""))
}

func boundedOpener(fault string) func(t *testing.T, maxFirstSeen int) validators.Store {
	return func(t *testing.T, maxFirstSeen int) validators.Store {
		t.Helper()
		h := newHub(fault)
		h.most = maxFirstSeen
		return h.node()
	}
}

func TestRunBounded(t *testing.T) {
	storetest.RunBounded(t, boundedOpener(""))
}

func TestOfABrokenBoundedStore(t *testing.T) {
	if fault := os.Getenv(faultVariable); fault != "" {
		storetest.RunBounded(t, boundedOpener(fault))
	}
}

func TestEachBrokenPromiseOfABoundedStoreIsFound(t *testing.T) {
	var trials []trial
	for fault, clause := range map[string]string{
		"dates without end":                    "what is new has no date",
		"dates give way":                       "what is kept stays",
		"sites share their room":               "a site of its own",
		"FirstSeen goes back":                  "a flood gives no two tags one date",
		"dates without end, among many":        "many at a time",
		"Purge of everything spares FirstSeen": "a purge makes room",
		"dates are not counted":                "Stats",
	} {
		fault, _, _ := strings.Cut(fault, ", among")
		trials = append(trials, trial{"TestOfABrokenBoundedStore", fault, clause})
	}
	wantFailures(t, trials)
}

func TestRunShared(t *testing.T) {
	storetest.RunShared(t, sharedOpener(""))
}

// faultVariable tells a process of its own, which tests a store that breaks a promise, which one that is.
const faultVariable = "STORETEST_FAULT"

func TestOfABrokenStore(t *testing.T) {
	if fault := os.Getenv(faultVariable); fault != "" {
		storetest.Run(t, opener(fault))
	}
}

func TestOfABrokenSharedStore(t *testing.T) {
	if fault := os.Getenv(faultVariable); fault != "" {
		storetest.RunShared(t, sharedOpener(fault))
	}
}

// brokenPromises are faults, and what has to find them.
var brokenPromises = map[string]string{ //nolint:gosec // names of faults
	"a password in the name":                   "Name has no secrets",
	"a record of nothing":                      "Load of nothing",
	"Size is lost":                             "Save, then Load",
	"Variants are lost":                        "Save, then Load",
	"used up by one Load":                      "Save, then Load",
	"the first record stays":                   "Save replaces",
	"one record a URI":                         "Save replaces",
	"large records are cut":                    "a record of 64 KiB",
	"no ttl":                                   "ttl",
	"the first ttl stays":                      "ttl of the later Save",
	"Delete does nothing":                      "Delete",
	"Delete drops the URI":                     "Delete",
	"Delete drops what FirstSeen keeps":        "Delete",
	"Forget does nothing":                      "Forget",
	"Forget waits to be told":                  "Forget",
	"Save stamps again":                        "Forget overtakes a slow response",
	"late Saves are stamped again":             "Purge overtakes a slow response",
	"Purge of everything does nothing":         "Purge of everything",
	"Purge knows no hosts alone":               "Purge of a host",
	"Purge takes all hosts":                    "Purge of a host",
	"Purge does nothing":                       "Purge at segment boundaries",
	"Purge spares what lies below":             "Purge at segment boundaries",
	"Purge takes the segment's beginning":      "Purge at segment boundaries",
	"Purge needs a host":                       "Purge of a path on every host",
	"Purge takes the host":                     "Purge leaves others alone",
	"purges are dropped when there are many":   "more than MaxPurges purges",
	"FirstSeen is always now":                  "FirstSeen keeps the time of a tag",
	"tags do not matter":                       "FirstSeen of another tag",
	"FirstSeen goes back":                      "FirstSeen never goes back",
	"FirstSeen runs ahead":                     "FirstSeen of tags that take turns",
	"no date for a tag that is kept":           "FirstSeen of tags that take turns",
	"FirstSeen tells what is to come":          "FirstSeen is never to come",
	"long tags are cut":                        "FirstSeen tells long tags apart",
	"parts of seconds":                         "FirstSeen has whole seconds",
	"FirstSeen forgets early":                  "FirstSeen keeps what was seen for its ttl",
	"FirstSeen has no lock":                    "FirstSeen has one answer",
	"FirstSeen is forgotten":                   "FirstSeen is not forgotten",
	"FirstSeen is purged":                      "FirstSeen is not forgotten",
	"Purge of everything spares FirstSeen":     "FirstSeen is purged with everything",
	"dates come again after a purge":           "FirstSeen is purged with everything",
	"FirstSeen is kept as a record":            "FirstSeen has keys of its own",
	"Save drops what FirstSeen keeps":          "FirstSeen has keys of its own",
	"an ended context forgets nothing":         "a context that has ended",
	"misses count as hits":                     "Stats",
	"Saves are late":                           "many goroutines",
	"an ended context waits":                   "a context that has ended",
	"a panic when closed":                      "a store that was closed",
	"the first record stays, among many":       "many goroutines",
	"Forget does nothing, among many":          "many goroutines",
	"Purge does nothing, among many":           "many goroutines",
	"Delete does nothing, among many":          "many goroutines",
	"late Saves are stamped again, among many": "many goroutines",
	"one record a URI, among many":             "many goroutines",
}

func TestEachBrokenPromiseIsFound(t *testing.T) {
	var trials []trial
	for fault, clause := range brokenPromises {
		fault, _, _ := strings.Cut(fault, ", among")
		trials = append(trials, trial{"TestOfABrokenStore", fault, clause})
	}
	wantFailures(t, trials)
}

func TestEachBrokenPromiseOfASharedStoreIsFound(t *testing.T) {
	var trials []trial
	for fault, clause := range map[string]string{
		"two stores":                             "what one saves, the other finds",
		"the first record stays":                 "what one replaces, the other finds",
		"Delete does nothing":                    "what one deletes, the other loses",
		"never told":                             "Forget",
		"Forget waits to be told":                "Forget",
		"late Saves are stamped again":           "Forget overtakes a slow response of the other",
		"Purge does nothing":                     "Purge",
		"Save stamps again":                      "Purge overtakes a slow response of the other",
		"Purge takes the host":                   "Purge leaves others alone",
		"purges are dropped when there are many": "more than MaxPurges purges",
		"FirstSeen is always now":                "FirstSeen is the same",
		"FirstSeen runs ahead":                   "FirstSeen of tags that take turns",
		"FirstSeen has no lock":                  "FirstSeen has one answer",
	} {
		trials = append(trials, trial{"TestOfABrokenSharedStore", fault, clause})
	}
	wantFailures(t, trials)
}

// trial is one test of a store with a fault, of which one clause has to fail.
type trial struct{ test, fault, clause string }

// wantFailures runs trials, most of which only wait.
func wantFailures(t *testing.T, trials []trial) {
	t.Helper()
	var running sync.WaitGroup
	room := make(chan struct{}, 8)
	for _, one := range trials {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			one.wantFailure(t)
		})
	}
	running.Wait()
}

// wantFailure runs a trial in a process of its own.
func (trial trial) wantFailure(t *testing.T) {
	t.Helper()
	name := strings.ReplaceAll(trial.clause, " ", "_")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+trial.test+"$/^"+name+"$") //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), faultVariable+"="+trial.fault)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: "+trial.test+"/"+name) {
		t.Errorf("with the fault %q, %q passes: %v\n%s", trial.fault, trial.clause, err, out)
	}
}
