package rig

import (
	"math"
	"testing"
)

func TestQuartiles(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   Quartiles
	}{
		"one":         {[]float64{3}, Quartiles{3, 3, 3}},
		"two":         {[]float64{2, 1}, Quartiles{1.25, 1.5, 1.75}},
		"odd":         {[]float64{5, 1, 4, 2, 3}, Quartiles{2, 3, 4}},
		"even":        {[]float64{4, 1, 3, 2}, Quartiles{1.75, 2.5, 3.25}},
		"an outsider": {[]float64{1, 1, 1, 1, 99}, Quartiles{1, 1, 1}},
	} {
		if got := QuartilesOf(c.values); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	values := []float64{3, 1, 2}
	if Median(values); values[0] != 3 {
		t.Error("the list was sorted in place")
	}
}
