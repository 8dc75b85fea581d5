package main

import (
	"math"
	"strings"
	"testing"
)

func TestQuartiles(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   quartiles
	}{
		"one":         {[]float64{3}, quartiles{3, 3, 3}},
		"two":         {[]float64{2, 1}, quartiles{1.25, 1.5, 1.75}},
		"odd":         {[]float64{5, 1, 4, 2, 3}, quartiles{2, 3, 4}},
		"even":        {[]float64{4, 1, 3, 2}, quartiles{1.75, 2.5, 3.25}},
		"an outsider": {[]float64{1, 1, 1, 1, 99}, quartiles{1, 1, 1}},
	} {
		if got := quartilesOf(c.values); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	values := []float64{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("the list was sorted in place")
	}
}

var tabled = []result{
	{
		row:  row{name: "A/A 4KiB", connections: 16},
		bare: quartiles{40, 41.25, 42}, with: quartiles{40, 41.5, 43}, ratio: quartiles{0.99, 1.006, 1.0104},
	},
	{
		row:  row{name: "p99", connections: 1000, compares: latencyP99},
		bare: quartiles{9e4, 1e5, 1.1e5}, with: quartiles{9e4, 1e5, 1.1e5}, ratio: quartiles{0.9, 1, 1.1},
	},
}

func TestMarkdown(t *testing.T) {
	const want = `| row | connections | compared | bare | with | ratio | quartiles |
| --- | ---: | --- | ---: | ---: | ---: | --- |
| A/A 4KiB | 16 | CPU a request | 41.2 | 41.5 | 1.006 | 0.990 to 1.010 |
| p99 | 1000 | p99 latency | 100000.0 | 100000.0 | 1.000 | 0.900 to 1.100 |

` + explanation + "\n3 pairs.\n"
	var got strings.Builder
	if err := writeMarkdown(&got, "3 pairs", tabled); err != nil || got.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, &got, want)
	}
}

func TestText(t *testing.T) {
	const want = `row       connections  compared       bare      with      ratio  quartiles
A/A 4KiB  16           CPU a request  41.2      41.5      1.006  0.990 to 1.010
p99       1000         p99 latency    100000.0  100000.0  1.000  0.900 to 1.100

` + explanation + "\n3 pairs.\n"
	var got strings.Builder
	if err := writeText(&got, "3 pairs", tabled); err != nil || got.String() != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, &got, want)
	}
}
