package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/chart"
)

// report is all that was measured.
type report struct {
	conditions conditions
	rows       []result
	site       []siteLine
}

// conditions are under what it was measured.
type conditions struct {
	Date            string
	CPUs            int
	Processor       string
	System, Go      string
	Rounds, Seconds int
	Short           bool
	Programs        []string
}

func conditionsOf(ctx context.Context, o Options, now time.Time) conditions {
	c := conditions{
		Date: now.UTC().Format(time.DateOnly), CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Rounds: o.Rounds, Seconds: o.Seconds, Short: o.Short,
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		c.Processor = processorIn(string(text))
	}
	for _, command := range [][]string{{"nginx", "-v"}, {"varnishd", "-V"}, {"wrk", "-v"}, {"h2load", "--version"}, {"gunicorn", "--version"}} {
		out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() //nolint:gosec // programs named above; wrk ends with 1
		if version := versionIn(string(out)); version != "" {
			c.Programs = append(c.Programs, version)
		}
	}
	return c
}

// processorIn reads /proc/cpuinfo.
func processorIn(text string) string {
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// versionIn is the first line of what a program says of itself, without what follows the version.
func versionIn(said string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	line = strings.TrimPrefix(line, "nginx version: ")
	line, _, _ = strings.Cut(line, " revision ")
	line, _, _ = strings.Cut(line, " [")
	if name, version, found := strings.Cut(line, " (version "); found {
		line = name + " " + strings.TrimSuffix(version, ")")
	}
	return strings.Replace(strings.Replace(line, "varnishd (varnish-", "varnish ", 1), "/", " ", 1)
}

// String says it in a line.
func (c conditions) String() string {
	kind := fmt.Sprintf("%d rounds of %d s", c.Rounds, c.Seconds)
	if c.Short {
		kind = "a short run, 1 round of 1 s"
	}
	return fmt.Sprintf("%s; %d CPUs, %s, %s; %s", kind, c.CPUs, c.System, c.Go, strings.Join(c.Programs, ", "))
}

var columns = []string{"server", "answer", "CPU µs", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "peak MiB", "asked %"}

// cells are the columns of a server.
func (l line) cells() []string {
	return []string{
		string(l.kind), l.answer.String(), chart.Number(l.cpu), chart.Number(l.second), chart.Number(l.p50), chart.Number(l.p99),
		chart.Number(l.p999), chart.Number(float64(l.memory) / (1 << 20)), percent(l.asked),
	}
}

var siteColumns = []string{"site", "conditional %", "CPU ms", "of Django alone %", "saved %", "304 %"}

func (l siteLine) cells() []string {
	return []string{l.name, percent(l.share), chart.Number(l.cpu), percent(l.of), percent(max(0, 1-l.of)), percent(l.not)}
}

// percent has a digit behind the point where that says something.
func percent(part float64) string {
	text := fmt.Sprintf("%.1f", 100*part)
	return strings.TrimSuffix(text, ".0")
}

// writeText writes the tables for a terminal.
func writeText(w io.Writer, r report) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table := func(title string, columns []string, lines [][]string) {
		_, _ = fmt.Fprintf(out, "%s\n%s\n", title, strings.Join(columns, "\t"))
		for _, cells := range lines {
			_, _ = fmt.Fprintln(out, strings.Join(cells, "\t"))
		}
		_, _ = fmt.Fprintln(out)
	}
	for _, measured := range r.rows {
		table(measured.row.name, columns, measured.cells())
	}
	if len(r.site) > 0 {
		table(siteName, siteColumns, siteCells(r.site))
	}
	_, _ = fmt.Fprintln(out, r.conditions)
	return out.Flush()
}

func (r result) cells() (lines [][]string) {
	for _, l := range r.lines {
		lines = append(lines, l.cells())
	}
	return lines
}

func siteCells(lines []siteLine) (cells [][]string) {
	for _, l := range lines {
		cells = append(cells, l.cells())
	}
	return cells
}

// markdownTable is a table of a page; numbers stand at the right.
func markdownTable(columns []string, lines [][]string, texts int) string {
	var text bytes.Buffer
	write := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	write(columns)
	rule := make([]string, len(columns))
	for i := range rule {
		if rule[i] = "---:"; i < texts {
			rule[i] = "---"
		}
	}
	write(rule)
	for _, cells := range lines {
		write(cells)
	}
	return text.String()
}
