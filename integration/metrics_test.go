package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/common/expfmt"
	promodel "github.com/prometheus/common/model"
)

// totals are the values of metrics by their names, without the part that all of them have, and their labels.
type totals map[string]float64

// metrics are what the admin endpoint says; a series there twice is an error of the parser.
func (a *admin) metrics() totals {
	a.t.Helper()
	code, text, _ := a.ask(http.MethodGet, "/metrics", "")
	parser := expfmt.NewTextParser(promodel.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text + "\n"))
	if code != http.StatusOK || err != nil {
		a.t.Fatalf("%d, %v", code, err)
	}
	all := make(totals)
	for name, family := range families {
		name, ours := strings.CutPrefix(name, "caddy_conditional_cache_")
		if !ours {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			series := strings.TrimSpace(name + " " + strings.Join(labels, " "))
			if _, twice := all[series]; twice {
				a.t.Errorf("%s is there twice", series)
			}
			all[series] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// wantMore wants metrics to have become greater by so much.
func (a *admin) wantMore(before totals, want totals) {
	a.t.Helper()
	now := a.metrics()
	for series, n := range want {
		if got := now[series] - before[series]; got != n {
			a.t.Errorf("%s: %v more, want %v", series, got, n)
		}
	}
}

// meteredSites have nested handlers, so that one is seen that counts what another one has counted.
const meteredSites = `
http://localhost:%d {
	conditional_cache
	handle /remembered/* {
		conditional_cache {
			remember 1h
			etag strong
			guard_writes
			cache_control max-age=60 {
				existing replace
			}
		}
		reverse_proxy {origin}
	}
	handle {
		reverse_proxy {origin}
	}
}
`

// metered is Caddy with these sites, in front of an origin that has a page of 1,000 bytes everywhere.
type metered struct {
	*admin
	sites string
	c     *client
	asked atomic.Int64 // of the origin
}

func runMetered(t *testing.T) *metered {
	t.Helper()
	m := new(metered)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		if r.URL.Path == "/remembered/private" {
			w.Header().Set("Cache-Control", "private")
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	t.Cleanup(origin.Close)
	m.sites = strings.ReplaceAll(meteredSites, "{origin}", origin.Listener.Addr().String())
	m.admin = runAdmin(t, "", m.sites)
	m.c = plainClient(t, m.port)
	return m
}

// TestMetrics: what becomes of requests is counted, once for all handlers that they meet.
func TestMetrics(t *testing.T) {
	m := runMetered(t)
	c := m.c
	page := c.must(t, http.StatusOK, http.MethodGet, "/", "").header.Get("Etag")
	known := c.must(t, http.StatusOK, http.MethodGet, "/remembered/", "").header.Get("Etag")
	before := m.metrics()
	c.must(t, http.StatusOK, http.MethodGet, "/", "")
	c.must(t, http.StatusNotModified, http.MethodGet, "/", "", "If-None-Match", page)
	c.must(t, http.StatusOK, http.MethodGet, "/", "", "If-None-Match", `"other"`)
	c.must(t, http.StatusOK, http.MethodPost, "/", "x")
	for range 3 {
		c.must(t, http.StatusNotModified, http.MethodGet, "/remembered/", "", "If-None-Match", known)
	}
	c.must(t, http.StatusOK, http.MethodGet, "/remembered/private", "")
	c.must(t, http.StatusPreconditionFailed, http.MethodPut, "/remembered/", "x", "If-Match", `"other"`)
	c.must(t, http.StatusOK, http.MethodPut, "/remembered/", "x", "If-Match", known)
	m.wantMore(before, totals{
		"responses_total outcome=tagged reason=no_condition":          1,
		"responses_total outcome=tagged reason=inner":                 1, // /remembered/private, as the outer one has it
		"responses_total outcome=not_modified reason=if_none_match":   1,
		"responses_total outcome=tagged reason=none_matched":          1,
		"responses_total outcome=not_modified reason=inner":           3, // from memory, by the inner one
		"responses_total outcome=streamed reason=method":              1,
		"responses_total outcome=precondition_failed reason=if_match": 1,
		"responses_total outcome=guarded reason=matched":              1,
		"conditional_requests_total":                                  5,
		"tags_returned_total":                                         5,
		"tags_sent_total":                                             3,
		"bytes_not_sent_total":                                        4000,
		"upstream_calls_saved_total":                                  3,
		"not_remembered_total reason=private":                         1,
		"cache_control_total reason=replaced":                         1,
		"guard_wait_seconds":                                          2,
		"held_seconds":                                                5, // the inner one's part in what the outer one reads before a write is among them
		"held_bytes":                                                  0,
	})
}

// TestMetricsOverReloads: configurations come and go, and what is counted stays, each series once.
func TestMetricsOverReloads(t *testing.T) {
	m := runMetered(t)
	before := m.metrics()
	for range 25 {
		_, _ = m.c.write(t.Context(), http.MethodGet, "/", "") // its connection may be one of the configuration before
		if err := m.load("", m.sites); err != nil {
			t.Fatal(err)
		}
		m.wantCounted(before)
	}
	if m.asked.Load() == 0 {
		t.Error("no request has come through: this test shows nothing")
	}
}

// wantCounted wants all requests to be counted that have come to the origin.
func (m *metered) wantCounted(before totals) {
	m.t.Helper()
	asked := float64(m.asked.Load())
	m.wantMore(before, totals{"responses_total outcome=tagged reason=no_condition": asked, "tags_sent_total": asked, "held_seconds": asked})
}

// TestMetricsOfConcurrentReloads: many at one time, with requests and scrapes among them.
func TestMetricsOfConcurrentReloads(t *testing.T) {
	m := runMetered(t)
	before := m.metrics()
	var all sync.WaitGroup
	for i := range 8 {
		sites := strings.ReplaceAll(m.sites, "remember 1h", fmt.Sprintf("remember %dh", i+1))
		all.Go(func() {
			if err := m.load("", sites); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			for range 10 {
				_, _ = m.c.write(t.Context(), http.MethodGet, "/", "")
				m.scrape(t)
			}
		})
	}
	all.Wait()
	m.wantCounted(before)
	if m.asked.Load() == 0 {
		t.Error("no request has come through: this test shows nothing")
	}
}

// scrape wants metrics, if the endpoint is not just being replaced.
func (m *metered) scrape(t *testing.T) {
	t.Helper()
	response, err := http.Get("http://" + m.address + "/metrics")
	if err != nil {
		return
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err == nil && response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}
