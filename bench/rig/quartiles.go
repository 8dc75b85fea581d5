package rig

import (
	"fmt"
	"math"
	"slices"
)

// Quartiles are the three values that part a list into four.
type Quartiles struct{ Low, Median, High float64 }

func (q Quartiles) String() string {
	return fmt.Sprintf("%.3f (%.3f to %.3f)", q.Median, q.Low, q.High)
}

// QuartilesOf interpolates between neighbours; those of an empty list are not numbers.
func QuartilesOf(values []float64) Quartiles {
	sorted := slices.Sorted(slices.Values(values))
	return Quartiles{Quantile(sorted, 0.25), Quantile(sorted, 0.5), Quantile(sorted, 0.75)}
}

// Median is the middle one, or between the two in the middle.
func Median(values []float64) float64 { return QuartilesOf(values).Median }

// Quantile is the value that the part p of a sorted list is below.
func Quantile(sorted []float64, p float64) float64 {
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
