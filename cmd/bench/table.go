package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// row is a line of the result.
type row struct {
	What, Measured, Promised, Note string
}

type table struct{ rows []row }

func (t *table) add(what, measured, promised, note string) {
	t.rows = append(t.rows, row{what, measured, promised, note})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, "| what | measured | promised | how |")
	fmt.Fprintln(w, "|---|--:|--:|---|")
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.What, r.Measured, r.Promised, r.Note)
	}
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

// ratio is the median of ours over theirs, round by round: a shared machine has
// good and bad minutes, and both sides of a round have the same.
func ratio(ours, theirs []float64) string {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// spread is a median with the least and the most, for figures that vary.
func spread(all []float64) string {
	return fmt.Sprintf("%s (%s to %s)", perSecond(median(all)), perSecond(slices.Min(all)), perSecond(slices.Max(all)))
}

func perSecond(x float64) string { return count(int(x)) + "/s" }

func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return count(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

func rate(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
