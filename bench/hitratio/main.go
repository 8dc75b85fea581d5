// Command hitratio simulates how many requests a memory of validators answers: clients ask for pages whose
// popularity follows Zipf's law, and each page that is not remembered is, from then on.
//
//	go run ./bench/hitratio -urls 10000000 -requests 20000000 -entries 10000,100000,1000000 -exponents 0.8,1,1.2
//
// It prints one line for each exponent and size: the share of requests that found a record in the second half
// of the run, and that of a memory without bounds.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
	"github.com/conditionalcache/caddy-conditional-cache/validators/memory"
)

func main() {
	urls := flag.Int("urls", 10_000_000, "pages of the site")
	requests := flag.Int("requests", 20_000_000, "requests of one run")
	entries := flag.String("entries", "10000,100000,1000000", "sizes of the memory, in records")
	exponents := flag.String("exponents", "0.8,1,1.2", "exponents of the popularity")
	flag.Parse()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(out, "exponent\tentries\thit ratio\twithout bounds\t")
	for _, exponent := range numbers(*exponents) {
		popularity := newZipf(*urls, exponent)
		for _, size := range numbers(*entries) {
			hits, possible := simulate(popularity, *requests, int(size))
			_, _ = fmt.Fprintf(out, "%g\t%d\t%.1f %%\t%.1f %%\t\n", exponent, int(size), 100*hits, 100*possible)
			_ = out.Flush()
		}
	}
}

func numbers(list string) (all []float64) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n < 0 {
			log.Fatalf("%q is not a number", text)
		}
		all = append(all, n)
	}
	return all
}

// zipf is the cumulated popularity of pages, the most popular first.
type zipf []float64

func newZipf(pages int, exponent float64) zipf {
	z, sum := make(zipf, pages), 0.0
	for i := range z {
		sum += math.Pow(float64(i+1), -exponent)
		z[i] = sum
	}
	return z
}

// page draws one.
func (z zipf) page(rnd *rand.Rand) int {
	return sort.SearchFloat64s(z, rnd.Float64()*z[len(z)-1])
}

// simulate returns the share of requests that found a record in the second half of a run, and the share that could
// have.
func simulate(popularity zipf, requests, entries int) (hits, possible float64) {
	store, err := memory.New(memory.Options{MaxEntries: entries})
	if err != nil {
		log.Fatal(err)
	}
	ctx, rnd, now := context.Background(), rand.New(rand.NewPCG(1, 2)), time.Now() //nolint:gosec // the same run each time
	seen := make([]bool, len(popularity))
	var found, before int
	for i := range requests {
		n := popularity.page(rnd)
		var key validators.Key
		binary.LittleEndian.PutUint64(key.Sum[:], mixed(uint64(n))) //nolint:gosec // not negative
		key.URI.Sum = key.Sum
		record, stamp, err := store.Load(ctx, key)
		if err != nil {
			log.Fatal(err)
		}
		if i >= requests/2 {
			found, before = found+number(record.Exists()), before+number(seen[n])
		}
		seen[n] = true
		if record.Exists() {
			continue
		}
		record = validators.Record{Stamp: stamp, ETag: `"cc1.0123456789abcdef0123456789abcdef"`, Received: now, Date: now, Lifetime: time.Hour}
		if err := store.Save(ctx, key, record, time.Hour); err != nil {
			log.Fatal(err)
		}
	}
	half := float64(requests - requests/2)
	return float64(found) / half, float64(before) / half
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mixed spreads numbers over all of a digest's range, as digests are.
func mixed(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
