package exchange

import (
	"os"
	"strings"
	"testing"
)

// The picture in the package's documentation is that of the table.
func TestPictureOfThePhases(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := picture(); !strings.Contains(string(doc), want) {
		t.Errorf("doc.go does not have this picture:\n%s", want)
	}
}

// Every phase but the first is reached from another one, and each comes to an end.
func TestPhasesHangTogether(t *testing.T) {
	reached := map[phase]bool{}
	for p := range phases {
		for next := range phase(16) {
			if phases[p].next.has(next) {
				reached[next] = true
				if int(next) >= len(phases) {
					t.Errorf("%s leads to %d, which is none", phases[p].name, next)
				}
			}
		}
	}
	for p := range phases {
		if !reached[phase(p)] {
			t.Errorf("nothing leads to %s", phases[p].name)
		}
		if !ends(phase(p), map[phase]bool{}) {
			t.Errorf("%s never ends", phases[p].name)
		}
	}
}

func ends(p phase, seen map[phase]bool) bool {
	if p == ended {
		return true
	}
	seen[p] = true
	for next := range phase(len(phases)) {
		if phases[p].next.has(next) && !seen[next] && ends(next, seen) {
			return true
		}
	}
	return false
}

// A wrong order is found at once.
func TestWrongOrderPanics(t *testing.T) {
	for _, step := range []struct{ from, to phase }{
		{idle, shown}, {arrived, headed}, {recalled, headed}, {shown, whole}, {streamed, held}, {answered, streamed}, {ended, headed},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s may follow %s", phases[step.to].name, phases[step.from].name)
				}
			}()
			x := &Exchange{phase: step.from}
			x.enter(step.to)
		}()
	}
}
