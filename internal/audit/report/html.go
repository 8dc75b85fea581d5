package report

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"net/url"
	"slices"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

//go:embed report.html
var source string

// maxBars is how many pages the chart has. Those that lose the most come first.
const maxBars = 30

// wide is the width of the chart, in units of its own.
const wide = 1000

var layout = template.Must(template.New("report").Funcs(template.FuncMap{
	"size":   Size,
	"count":  count,
	"number": func(i int) int { return i + 1 }, // as in bar
}).Parse(source))

// view is what the page is made from.
type view struct {
	*audit.Report
	Totals  audit.Totals
	When    string
	LeftOut int
	Bars    []bar
	NoBars  int // pages that the chart leaves out
}

// bar is a page in the chart: what a reload saves, and behind that what it sends though nothing has changed.
type bar struct {
	Page        *audit.Page
	Number      int // of the page in the list
	Saved, Lost int // widths, in units of the chart
	Label       string
}

// HTML writes a report as one page that needs nothing else. when is the time of the report.
func HTML(w io.Writer, r *audit.Report, leftOut int, when string) error {
	bars := barsOf(r)
	v := view{Report: r, Totals: r.Totals(), When: when, LeftOut: leftOut, Bars: bars[:min(len(bars), maxBars)]}
	v.NoBars = len(bars) - len(v.Bars)
	return layout.Execute(w, v)
}

// barsOf are the bars of all pages that were seen, those that lose the most first.
func barsOf(r *audit.Report) (bars []bar) {
	longest := int64(1)
	for _, p := range r.Pages {
		longest = max(longest, p.Coded)
	}
	for i, p := range r.Pages {
		if p.Coded == 0 {
			continue
		}
		bars = append(bars, bar{
			Page: p, Number: i + 1, Label: place(p.URL),
			Saved: int(p.Saved() * wide / longest), Lost: int(p.Lost() * wide / longest),
		})
	}
	slices.SortStableFunc(bars, func(a, b bar) int {
		return cmp.Or(cmp.Compare(b.Page.Lost(), a.Page.Lost()), cmp.Compare(b.Page.Coded, a.Page.Coded))
	})
	return bars
}

// place is a URL without what all have in common mostly.
func place(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.RequestURI()
}
