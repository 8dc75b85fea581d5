package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// explanation stands below a table.
const explanation = "Times are in microseconds, medians of the runs; CPU times are those of the server's process. " +
	"The ratio is the median of the pairs' ratios."

var columns = []string{"row", "connections", "compared", "bare", "with", "ratio", "quartiles"}

// cells are the columns of a result.
func (r result) cells() []string {
	return []string{
		r.row.name, fmt.Sprint(r.row.connections), r.row.compares.String(),
		fmt.Sprintf("%.1f", r.bare.Median), fmt.Sprintf("%.1f", r.with.Median),
		fmt.Sprintf("%.3f", r.ratio.Median), fmt.Sprintf("%.3f to %.3f", r.ratio.Low, r.ratio.High),
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
