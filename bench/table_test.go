package main

import (
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

func parted(low, median, high float64) rig.Quartiles {
	return rig.Quartiles{Low: low, Median: median, High: high}
}

var tabled = []result{
	{
		row:  row{name: "A/A 4KiB", connections: 16},
		bare: parted(40, 41.25, 42), with: parted(40, 41.5, 43), ratio: parted(0.99, 1.006, 1.0104),
	},
	{
		row:  row{name: "p99", connections: 1000, compares: latencyP99},
		bare: parted(9e4, 1e5, 1.1e5), with: parted(9e4, 1e5, 1.1e5), ratio: parted(0.9, 1, 1.1),
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
