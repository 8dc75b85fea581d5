package peers

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/conditionalcache/caddy-conditional-cache/bench/chart"
)

//go:embed page.md.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// section is a scenario on the page.
type section struct {
	Group, Title, Means, Table, Chart string // Group is empty where it is that of the section before
}

// page is the text of the page and its charts, by the names of their files.
func (r report) page() (text []byte, charts map[string][]byte, err error) {
	charts = make(map[string][]byte)
	var sections []section
	group := ""
	for _, measured := range r.rows {
		s := section{Title: measured.row.name, Means: measured.row.means, Table: markdownTable(columns, measured.cells(), 2)}
		if measured.row.group != group {
			group = measured.row.group
			s.Group = group
		}
		if measured.row.charted && len(measured.lines) > 0 {
			s.Chart = fileOf(measured.row.name)
			if charts[s.Chart], err = measured.chart().SVG(); err != nil {
				return nil, nil, err
			}
		}
		sections = append(sections, s)
	}
	data := map[string]any{"Conditions": r.conditions, "Sections": sections}
	if len(r.site) > 0 {
		data["Site"] = markdownTable(siteColumns, siteCells(r.site), 1)
		for _, share := range shares {
			name := fmt.Sprintf("bench-site-%.0f.svg", 100*share)
			if charts[name], err = siteChart(r.site, share).SVG(); err != nil {
				return nil, nil, err
			}
		}
	}
	var page bytes.Buffer
	err = pageTemplate.Execute(&page, data)
	return page.Bytes(), charts, err
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// fileOf is the file of a row's chart.
func fileOf(name string) string {
	return "bench-" + strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-") + ".svg"
}

func (r result) chart() chart.Bars {
	bars := chart.Bars{Title: r.row.name, Unit: "CPU time a request in µs; shorter is better"}
	for _, l := range r.lines {
		bars.Bars = append(bars.Bars, chart.Bar{Label: string(l.kind), Value: l.cpu, Ours: l.kind.ours(), Note: fmt.Sprint(l.answer.status)})
	}
	return bars
}

func siteChart(lines []siteLine, share float64) chart.Bars {
	bars := chart.Bars{
		Title: fmt.Sprintf("A Django site, %.0f %% conditional", 100*share),
		Unit:  "CPU of Django a request, % of Django alone; shorter is better",
	}
	for _, l := range lines {
		if l.share == share {
			bars.Bars = append(bars.Bars, chart.Bar{Label: l.name, Value: 100 * l.of, Ours: l.ours})
		}
	}
	return bars
}

// publish prints the tables, and writes the page if that is asked for.
func publish(o Options, r report) error {
	if len(r.rows) == 0 && len(r.site) == 0 {
		return nil
	}
	if err := writeText(o.Output, r); err != nil || o.Markdown == "" {
		return err
	}
	text, charts, err := r.page()
	if err != nil {
		return err
	}
	images := filepath.Join(filepath.Dir(o.Markdown), "images")
	if err := os.MkdirAll(images, 0o755); err != nil { //nolint:gosec // for all who read the documents
		return err
	}
	for name, svg := range charts {
		if err := os.WriteFile(filepath.Join(images, name), svg, 0o644); err != nil { //nolint:gosec // the same
			return err
		}
	}
	first, more := inTwo(text)
	if more != nil {
		name := strings.TrimSuffix(o.Markdown, ".md") + "-more.md"
		first = append(first, fmt.Sprintf("\n## More\n\nParts, compression, many connections, TLS, HTTP/2 and two CPUs are on [a page of their own](%s).\n", filepath.Base(name))...)
		if err := os.WriteFile(name, more, 0o644); err != nil { //nolint:gosec // the same
			return err
		}
	}
	return os.WriteFile(o.Markdown, first, 0o644) //nolint:gosec // the same
}

// Between these stands what is of interest to fewer readers.
const (
	moreBegins = "\n## " + groupOfParts + "\n"
	moreEnds   = "\n## A site\n"
	moreTitle  = "# Beside other servers: parts, compression, connections\n\nFurther rows of [the comparison](benchmarks.md), which says how to read them.\n"
)

// inTwo takes the rows of the second page out of the first. more is nil if there are none.
func inTwo(page []byte) (first, more []byte) {
	before, after, found := bytes.Cut(page, []byte(moreBegins))
	if !found {
		return page, nil
	}
	more, site, found := bytes.Cut(after, []byte(moreEnds))
	first = bytes.Clone(before)
	if found {
		first = append(append(first, moreEnds...), site...)
	}
	return first, append([]byte(moreTitle+moreBegins), more...)
}
