package report

import (
	"encoding/json"
	"io"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// Version is that of the JSON: it changes when what is there changes its meaning or goes.
const Version = 1

// The JSON of a report. Fields are added to it, and never change their meaning within a version.
type (
	document struct {
		Version int       `json:"version"`
		Summary summary   `json:"summary"`
		Site    []finding `json:"site"`
		Pages   []page    `json:"pages"`
	}
	summary struct {
		Pages    int   `json:"pages"`
		Requests int   `json:"requests"`
		Errors   int   `json:"errors"`
		Warnings int   `json:"warnings"`
		Notes    int   `json:"notes"`
		Saved    int64 `json:"bytes_saved"`
		Lost     int64 `json:"bytes_lost"`
		LeftOut  int   `json:"urls_left_out"`
	}
	page struct {
		URL       string    `json:"url"`
		Final     string    `json:"final_url"`
		Status    int       `json:"status"`
		MediaType string    `json:"media_type"`
		Requests  int       `json:"requests"`
		Plain     int64     `json:"bytes_plain"`
		Coded     int64     `json:"bytes_gzip"`
		Confirmed bool      `json:"confirmed"`
		Saved     int64     `json:"bytes_saved"`
		Lost      int64     `json:"bytes_lost"`
		Findings  []finding `json:"findings"`
	}
	finding struct {
		Name     string `json:"name"`
		Severity string `json:"severity"`
		Sentence string `json:"sentence"`
		Section  string `json:"section"`
		Evidence string `json:"evidence"`
		Cure     cure   `json:"cure"`
		Parts    []part `json:"parts,omitempty"`
	}
	cure struct {
		Caddyfile string `json:"caddyfile,omitempty"`
		Reason    string `json:"reason,omitempty"`
	}
	part struct {
		From   int    `json:"from"`
		To     int    `json:"to"`
		Again  [2]int `json:"again"`
		Looks  string `json:"looks"`
		Before string `json:"before"`
	}
)

// JSON writes a report for programs.
func JSON(w io.Writer, r *audit.Report, leftOut int) error {
	t := r.Totals()
	doc := document{
		Version: Version,
		Summary: summary{t.Pages, t.Requests, t.Errors, t.Warnings, t.Notes, t.Saved, t.Lost, leftOut},
		Site:    findingsOf(r.Site), Pages: []page{},
	}
	for _, p := range r.Pages {
		doc.Pages = append(doc.Pages, page{
			URL: p.URL, Final: p.Final, Status: p.Status, MediaType: p.MediaType, Requests: p.Requests,
			Plain: p.Plain, Coded: p.Coded, Confirmed: p.Confirmed, Saved: p.Saved(), Lost: p.Lost(), Findings: findingsOf(p.Findings),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

func findingsOf(all []audit.Finding) []finding {
	list := make([]finding, 0, len(all))
	for i := range all {
		f := &all[i]
		one := finding{
			Name: f.Kind.String(), Severity: f.Kind.Severity().String(), Sentence: f.Kind.Sentence(), Section: f.Kind.Section(),
			Evidence: f.Evidence, Cure: cure{Caddyfile: f.Cure.Caddyfile(), Reason: f.Cure.Reason},
		}
		for _, p := range f.Parts {
			one.Parts = append(one.Parts, part{From: p.From, To: p.To, Again: [2]int{p.FromAgain, p.ToAgain}, Looks: p.Looks.String(), Before: p.Before})
		}
		list = append(list, one)
	}
	return list
}
