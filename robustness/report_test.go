//go:build unix

package robustness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// report leaves what there is to know of violations in a folder, which it returns: the operations and the faults, a line
// for each, a picture of each page, and the logs.
func (c *cluster) report(t *testing.T, h *history, violations []violation) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "conditional-cache-history-*") //nolint:usetesting // it is to outlive the test
	if err != nil {
		t.Fatal(err)
	}
	writeLines(t, filepath.Join(dir, "history.jsonl"), h.Operations)
	writeLines(t, filepath.Join(dir, "faults.jsonl"), h.Faults)
	writeLines(t, filepath.Join(dir, "violations.jsonl"), violations)
	for _, v := range violations {
		if v.info == nil {
			continue
		}
		file := strings.ReplaceAll(strings.Trim(v.URL, "/"), "/", "-") + ".html"
		if err := porcupine.VisualizePath(model, *v.info, filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	c.copyLogs(t, dir)
	return dir
}

func writeLines[T any](t *testing.T, file string, lines []T) {
	t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	for _, line := range lines {
		if err := encoder.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, file, text.String())
}

func (c *cluster) copyLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(c.dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.Base(log)), string(text))
	}
}

// crashed finds what no log of a node is to have.
func (c *cluster) crashed(t *testing.T) (violations []violation) {
	t.Helper()
	for _, n := range c.nodes {
		text, err := os.ReadFile(n.log)
		if err != nil {
			t.Fatal(err)
		}
		for _, sign := range []string{"DATA RACE", "panic", "fatal error"} {
			if strings.Contains(string(text), sign) {
				violations = append(violations, violation{URL: filepath.Base(n.log), Says: "has " + sign})
			}
		}
	}
	return violations
}
