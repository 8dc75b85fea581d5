//go:build unix

package robustness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The clock of one process only cannot be set from outside: time namespaces of Linux shift its other clocks, and Go asks
// no C library for the time. So the Caddy that is tested is built with a function time.Now that reads a shift as well
// (go build -overlay), and with a file in its main package that keeps the shift. Nothing in the checkout knows of it.

// shiftVariable names the file that says by how many seconds the clock of a node is set.
const shiftVariable = "ROBUSTNESS_CLOCK"

const (
	timeNow      = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	shiftedNow   = "sec, nsec, mono := runtimeNow()\n\tsec += Shifted.Load()\n\tif mono == 0 {"
	timeImports  = "import (\n\t\"errors\"\n"
	shiftImports = timeImports + "\t\"sync/atomic\"\n"
	shiftedBy    = "\n// Shifted is by how many seconds the clock is set.\nvar Shifted atomic.Int64\n"

	keepsShift = `package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	go func() {
		for ; ; time.Sleep(10 * time.Millisecond) {
			text, _ := os.ReadFile(os.Getenv("` + shiftVariable + `"))
			if seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				time.Shifted.Store(seconds)
			}
		}
	}()
}
`
)

// overlay writes what the build reads in place of, or beside, what is on disk.
func overlay(t *testing.T, dir string) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for old, changed := range map[string]string{timeNow: shiftedNow, timeImports: shiftImports} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("%s has no %q: this version of Go reads the clock elsewhere", original, old)
		}
		text = strings.Replace(text, old, changed, 1)
	}
	added, err := filepath.Abs("../cmd/caddy/shift.go")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{original: filepath.Join(dir, "time.go"), added: filepath.Join(dir, "shift.go")}
	writeFile(t, files[original], text+shiftedBy)
	writeFile(t, files[added], keepsShift)
	list, err := json.Marshal(map[string]any{"Replace": files})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "overlay.json"), string(list))
	return filepath.Join(dir, "overlay.json")
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shift sets the clock of a node, and waits until it shows that.
func (n *node) shift(d time.Duration) {
	writeFile(n.t, n.clock, fmt.Sprint(int64(d/time.Second)))
	await(n.t, "a clock that is set", func() bool {
		response, err := http.Get("http://" + n.admin + "/conditional_cache/")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		date, err := http.ParseTime(response.Header.Get("Date"))
		return err == nil && time.Since(date.Add(-d)).Abs() < 5*time.Second
	})
}
