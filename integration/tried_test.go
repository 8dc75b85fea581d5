package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTried: what somebody writes who has not read the reference is taken where it is clear, and refused with what to
// write instead where it is not. testdata/adapt/tried.txt has 120 such configurations, and what is said of each.
func TestTried(t *testing.T) {
	path := filepath.Join("testdata", "adapt", "tried.txt")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, all, _ := strings.Cut(string(text), "\n## ")
	got := head
	cases := strings.Split(all, "\n## ")
	for _, tried := range cases {
		configuration, _, _ := strings.Cut(tried, "\n→ ")
		title, caddyfile, _ := strings.Cut(configuration, "\n")
		answer := answerTo(caddyfile)
		got += "\n## " + configuration + "\n→ " + answer + "\n"
		if found := internals.FindString(answer); found != "" {
			t.Errorf("%s: shows %q: %s", title, found, answer)
		}
		if answer != accepted && ofCaddy.FindString(answer) == "" && !cure.MatchString(answer) {
			t.Errorf("%s: does not say what to write instead: %s", title, answer)
		}
	}
	if len(cases) < 120 {
		t.Errorf("%d configurations, want 120", len(cases))
	}
	compareGolden(t, path, got)
}

const accepted = "accepted"

var (
	// cure is how a message begins to say what to write.
	cure = regexp.MustCompile(`; |such as|did you mean`)
	// ofCaddy are errors that are found before this module is asked.
	ofCaddy = regexp.MustCompile(`unrecognized directive|on a new line|tokens for 'reverse_proxy'`)
)

// answerTo is what adapting a Caddyfile says, and then provisioning it.
func answerTo(caddyfile string) string {
	config, _, err := adapt(caddyfile)
	if err == nil {
		err = validate(config)
	}
	if err == nil {
		return accepted
	}
	return strings.TrimPrefix(err.Error(), "parsing caddyfile tokens for 'conditional_cache': ")
}
