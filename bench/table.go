package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// quartiles are the three values that part a list into four.
type quartiles struct{ low, median, high float64 }

func (q quartiles) String() string {
	return fmt.Sprintf("%.3f (%.3f to %.3f)", q.median, q.low, q.high)
}

// quartilesOf interpolates between neighbours; those of an empty list are not numbers.
func quartilesOf(values []float64) quartiles {
	sorted := slices.Sorted(slices.Values(values))
	return quartiles{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

func median(values []float64) float64 { return quartilesOf(values).median }

// quantile is the value that the part p of a sorted list is below.
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	whole, part := math.Modf(p * float64(len(sorted)-1))
	i := int(whole)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + part*(sorted[i+1]-sorted[i])
}

// explanation stands below a table.
const explanation = "Times are in microseconds, medians of the runs; CPU times are those of the server's process. " +
	"The ratio is the median of the pairs' ratios."

var columns = []string{"row", "connections", "compared", "bare", "with", "ratio", "quartiles"}

// cells are the columns of a result.
func (r result) cells() []string {
	return []string{
		r.row.name, fmt.Sprint(r.row.connections), r.row.compares.String(),
		fmt.Sprintf("%.1f", r.bare.median), fmt.Sprintf("%.1f", r.with.median),
		fmt.Sprintf("%.3f", r.ratio.median), fmt.Sprintf("%.3f to %.3f", r.ratio.low, r.ratio.high),
	}
}

// writeText writes a table for a terminal.
func writeText(w io.Writer, conditions string, results []result) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(out, strings.Join(columns, "\t"))
	for _, r := range results {
		_, _ = fmt.Fprintln(out, strings.Join(r.cells(), "\t"))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n%s.\n", explanation, conditions)
	return err
}

// writeMarkdown writes the same for a document.
func writeMarkdown(w io.Writer, conditions string, results []result) error {
	var text strings.Builder
	line := func(cells []string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(columns)
	line([]string{"---", "---:", "---", "---:", "---:", "---:", "---"})
	for _, r := range results {
		line(r.cells())
	}
	fmt.Fprintf(&text, "\n%s\n%s.\n", explanation, conditions)
	_, err := io.WriteString(w, text.String())
	return err
}
