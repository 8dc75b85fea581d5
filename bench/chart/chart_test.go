package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// update writes the files anew, to be looked at before they are kept: go test ./bench/chart -update
var update = flag.Bool("update", false, "write testdata anew")

var charts = map[string]Bars{
	"bars": {
		Title: "A page of 4 KiB", Unit: "CPU a request, µs (shorter is better)",
		Bars: []Bar{
			{Label: "nginx, proxy", Value: 21.5},
			{Label: "Caddy", Value: 102.25},
			{Label: "conditional_cache", Value: 1104.6, Ours: true, Note: "304"},
			{Label: "Varnish", Value: 0.5},
		},
	},
	"nothing to see": {Title: "All are 0", Unit: "%", Bars: []Bar{{Label: "one"}, {Label: "another"}}},
	"marks":          {Title: `<script>&"'`, Unit: "<b>", Bars: []Bar{{Label: "]]>", Value: 1, Note: "<!--"}}},
}

// TestCharts: the drawings are those in testdata.
func TestCharts(t *testing.T) {
	for name, bars := range charts {
		t.Run(name, func(t *testing.T) {
			got, err := bars.SVG()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".svg")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
			}
			isSafeAndSmall(t, got)
		})
	}
}

// isSafeAndSmall: a drawing is XML, runs nothing, loads nothing, and is small.
func isSafeAndSmall(t *testing.T, svg []byte) {
	t.Helper()
	if len(svg) > 20<<10 {
		t.Errorf("%d bytes", len(svg))
	}
	if !bytes.Contains(svg, []byte("prefers-color-scheme:dark")) {
		t.Error("it is not made for dark pages")
	}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok && !slices.Contains([]string{"svg", "title", "desc", "style", "rect", "text"}, element.Name.Local) {
			t.Errorf("there is a %s in it", element.Name.Local)
		}
	}
}

// TestLengths: bars are in proportion, and the longest leaves room for its value.
func TestLengths(t *testing.T) {
	svg, err := Bars{Bars: []Bar{{Value: 50}, {Value: 100}}}.SVG()
	if err != nil || !bytes.Contains(svg, []byte(`width="120.0"`)) || !bytes.Contains(svg, []byte(`width="240.0"`)) {
		t.Errorf("%v\n%s", err, svg)
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	for name, bars := range map[string][]Bar{
		"none": nil, "negative": {{Value: -1}}, "no number": {{Value: math.NaN()}}, "endless": {{Value: math.Inf(1)}},
	} {
		if _, err := (Bars{Bars: bars}).SVG(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.05: "0.05", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1234567: "1,234,567", 999999: "999,999",
	} {
		if got := Number(value); got != want {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
	if got := Number(math.NaN()); got != "–" {
		t.Errorf("no number: %s", got)
	}
}

func TestStacked(t *testing.T) {
	one := Bars{Title: "One", Unit: "u", Bars: []Bar{{Label: "a", Value: 1}}}
	two := Bars{Title: "Two", Unit: "v", Bars: []Bar{{Label: "b", Value: 2}, {Label: "c", Value: 1}}}
	got, err := Stacked(one, two)
	if err != nil {
		t.Fatal(err)
	}
	svg := string(got)
	for _, part := range []string{"<title id=\"title\">One; Two</title>", "u: a 1.00; v: b 2.00; c 1.00", fmt.Sprintf(`viewBox="0 0 360 %d"`, one.height()+two.height())} {
		if !strings.Contains(svg, part) {
			t.Errorf("no %q in\n%s", part, svg)
		}
	}
	if strings.Count(svg, "<rect ") != 1+3 || strings.Count(svg, `width="240.0"`) != 2 {
		t.Errorf("each chart has a longest bar of its own:\n%s", svg)
	}
	if _, err := Stacked(one, Bars{Title: "Empty"}); err == nil {
		t.Error("an empty one is drawn")
	}
}
