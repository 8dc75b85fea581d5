// Package chart draws bars as SVG: one file that a page shows as an image. It follows the reader's choice of light or
// dark, has no script, and can be read on a phone. It knows nothing of what is measured.
package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bars is a chart with one bar a line.
type Bars struct {
	Title string
	Unit  string // of the values, and in which direction is better
	Bars  []Bar
}

// Bar is a line of a chart.
type Bar struct {
	Label string
	Value float64 // not negative
	Ours  bool    // drawn so that it stands out
	Note  string  // behind the value: what makes it differ in kind from the others
}

const (
	width     = 360 // of a phone, in CSS pixels
	margin    = 12
	top       = 58 // where the first bar's label stands
	lineOf    = 38 // height of a bar with its label
	thickness = 12
	room      = 96 // right of the longest bar, for its value
)

const style = `<style>
svg{color-scheme:light dark;font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.back{fill:#fff}.title,.label{fill:#1c2024}.unit,.value{fill:#57606a}.bar{fill:#8b98a5}.ours{fill:#0969da}
.title{font-size:15px;font-weight:600}.unit{font-size:12px}.label{font-size:13px}.value{font-size:12px}
@media (prefers-color-scheme:dark){.back{fill:#0d1117}.title,.label{fill:#e6edf3}.unit,.value{fill:#9da7b3}.bar{fill:#6e7781}.ours{fill:#58a6ff}}
</style>
`

// SVG is the chart. All bars begin at zero: their lengths are in proportion.
func (c Bars) SVG() ([]byte, error) { return Stacked(c) }

// Stacked is several charts as one image, one below the other.
func Stacked(charts ...Bars) ([]byte, error) {
	var content bytes.Buffer
	var titles, words []string
	height := 0
	for _, c := range charts {
		if err := c.check(); err != nil {
			return nil, err
		}
		c.draw(&content, height)
		height += c.height()
		titles, words = append(titles, c.Title), append(words, c.inWords())
	}
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" role="img" aria-labelledby="title description">`+"\n", width, height, 480)
	fmt.Fprintf(&svg, "<title id=\"title\">%s</title>\n<desc id=\"description\">%s</desc>\n", escaped(strings.Join(titles, "; ")), escaped(strings.Join(words, "; ")))
	svg.WriteString(style)
	fmt.Fprintf(&svg, "<rect class=\"back\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", width, height)
	svg.Write(content.Bytes())
	svg.WriteString("</svg>\n")
	return svg.Bytes(), nil
}

func (c Bars) height() int { return top + lineOf*len(c.Bars) + margin/2 }

// check refuses what cannot be drawn.
func (c Bars) check() error {
	if len(c.Bars) == 0 {
		return errors.New(c.Title + ": there are no bars")
	}
	for _, bar := range c.Bars {
		if bar.Value < 0 || math.IsNaN(bar.Value) || math.IsInf(bar.Value, 0) {
			return fmt.Errorf("%s: the value of %s is %v; it has to be a number that is not negative", c.Title, bar.Label, bar.Value)
		}
	}
	return nil
}

// draw draws title and bars, from y on.
func (c Bars) draw(svg *bytes.Buffer, y int) {
	longest := 0.0
	for _, bar := range c.Bars {
		longest = max(longest, bar.Value)
	}
	text(svg, "title", margin, y+24, c.Title)
	text(svg, "unit", margin, y+41, c.Unit)
	for i, bar := range c.Bars {
		bar.draw(svg, y+top+lineOf*i, longest)
	}
}

// draw draws a label and below it a bar with its value.
func (b Bar) draw(svg *bytes.Buffer, y int, longest float64) {
	class, length := "bar", 0.0
	if b.Ours {
		class = "ours"
	}
	if longest > 0 {
		length = b.Value / longest * (width - 2*margin - room)
	}
	text(svg, "label", margin, y+6, b.Label)
	fmt.Fprintf(svg, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n", class, margin, y+12, max(length, 1), thickness)
	fmt.Fprintf(svg, "<text class=\"value\" x=\"%.1f\" y=\"%d\">%s</text>\n", margin+length+6, y+22, escaped(b.value()))
}

// value is what stands behind a bar.
func (b Bar) value() string {
	if b.Note == "" {
		return Number(b.Value)
	}
	return Number(b.Value) + " (" + b.Note + ")"
}

func text(svg *bytes.Buffer, class string, x, y int, content string) {
	fmt.Fprintf(svg, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, escaped(content))
}

// inWords is what a chart says to those who do not see it.
func (c Bars) inWords() string {
	var parts []string
	for _, bar := range c.Bars {
		parts = append(parts, bar.Label+" "+bar.value())
	}
	return c.Unit + ": " + strings.Join(parts, "; ")
}

// Number is a value with as many digits as a reader needs: three, and commas between thousands.
func Number(value float64) string {
	switch {
	case math.IsNaN(value):
		return "–"
	case value == 0:
		return "0"
	case value < 10:
		return strconv.FormatFloat(value, 'f', 2, 64)
	case value < 100:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func escaped(content string) string {
	var text strings.Builder
	_ = xml.EscapeText(&text, []byte(content)) // a strings.Builder takes everything
	return text.String()
}
