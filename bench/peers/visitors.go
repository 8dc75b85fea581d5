package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

const (
	sitePages = 1000
	// skew is the exponent by which few pages have most of the visits: the n-th has 1/n^skew of the first's.
	skew = 1.1
	// together is how many visitors there are at one time.
	together = 4
)

// visitors ask a site for its pages. They know the tags that they were given.
type visitors struct {
	site   string
	client *http.Client
	tags   []string // by page
}

func newVisitors(site string) *visitors {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: together}
	return &visitors{site, &http.Client{Transport: transport, Timeout: rig.StartTime}, make([]string, sitePages)}
}

// visit is one request.
type visit struct {
	page        int
	conditional bool
}

// plan is the same for the same seed: who is measured later gets the same requests.
func plan(requests int, share float64, seed uint64) []visit {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // nobody is to be kept from guessing it
	zipf := rand.NewZipf(random, skew, 1, sitePages-1)
	visits := make([]visit, requests)
	for i := range visits {
		conditional := int(float64(i+1)*share) > int(float64(i)*share) // spread evenly, and exactly as many
		visits[i] = visit{int(zipf.Uint64()), conditional}             //nolint:gosec // less than sitePages
	}
	return visits
}

// walk asks for each page once, with the tag if there is one, and keeps its tag.
func (v *visitors) walk(ctx context.Context) error {
	visits := make([]visit, sitePages)
	for page := range visits {
		visits[page] = visit{page, true}
	}
	_, err := v.ask(ctx, visits)
	return err
}

// come makes requests, of which a share is conditional, and says how many were answered with 304.
func (v *visitors) come(ctx context.Context, requests int, share float64, seed uint64) (notModified int64, err error) {
	return v.ask(ctx, plan(requests, share, seed))
}

func (v *visitors) ask(ctx context.Context, visits []visit) (int64, error) {
	var next, notModified atomic.Int64
	var wait sync.WaitGroup
	errs := make([]error, together)
	for i := range errs {
		wait.Go(func() {
			for errs[i] == nil {
				n := next.Add(1) - 1
				if n >= int64(len(visits)) {
					return
				}
				var not bool
				if not, errs[i] = v.one(ctx, visits[n]); not {
					notModified.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return notModified.Load(), errors.Join(errs...)
}

// one makes one request. Two for one page at the same time are given the same tag.
func (v *visitors) one(ctx context.Context, visit visit) (notModified bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/pages/%d", v.site, visit.page), http.NoBody)
	if err != nil {
		return false, err
	}
	tag := v.tags[visit.page]
	if visit.conditional && tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := v.client.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotModified {
		return false, fmt.Errorf("page %d was answered with %s", visit.page, response.Status)
	}
	if now := response.Header.Get("Etag"); tag != now {
		if tag != "" {
			return false, fmt.Errorf("the tag of page %d was %s and is %s, though the page is the same", visit.page, tag, now)
		}
		v.tags[visit.page] = now // only in walk, which asks for each page once
	}
	return response.StatusCode == http.StatusNotModified, nil
}
