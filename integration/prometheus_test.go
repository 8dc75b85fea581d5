package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/conditionalcache/caddy-conditional-cache/internal/metrics"
)

// dashboard is what is read of a Grafana dashboard.
type dashboard struct {
	Title         string       `json:"title"`
	UID           string       `json:"uid"`
	SchemaVersion int          `json:"schemaVersion"`
	Panels        []graphPanel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type graphPanel struct {
	ID          int                        `json:"id"`
	Type        string                     `json:"type"`
	Title       string                     `json:"title"`
	Description string                     `json:"description"`
	GridPos     struct{ X, Y, W, H int }   `json:"gridPos"`
	DataSource  map[string]string          `json:"datasource"`
	FieldConfig map[string]json.RawMessage `json:"fieldConfig"`
	Options     map[string]json.RawMessage `json:"options"`
	Targets     []struct {
		RefID      string            `json:"refId"`
		Expr       string            `json:"expr"`
		DataSource map[string]string `json:"datasource"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(readDoc(t, "../examples/grafana-dashboard.json")))
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard: what Grafana needs of a dashboard to draw it (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/):
// panels of types that it has, each with an ID of its own, in a grid of 24 columns in which none covers another one, and with
// the data source that the variable names.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		t.Errorf("title %q, uid %q, version %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	ids, cells := make(map[int]bool), make(map[[2]int]string)
	for _, p := range d.Panels {
		p.wantWhole(t)
		p.wantPlace(t, cells)
		if ids[p.ID] {
			t.Errorf("panel %d is there twice", p.ID)
		}
		ids[p.ID] = true
	}
}

func (p *graphPanel) wantWhole(t *testing.T) {
	t.Helper()
	if p.Title == "" || p.Description == "" || p.FieldConfig["defaults"] == nil || p.Options == nil || len(p.Targets) == 0 {
		t.Errorf("panel %d %q is not whole", p.ID, p.Title)
	}
	if !slices.Contains([]string{"stat", "timeseries", "bargauge"}, p.Type) {
		t.Errorf("%s: Grafana has no panel %q that is known here", p.Title, p.Type)
	}
	for i, target := range p.Targets {
		if target.RefID != string(rune('A'+i)) || target.DataSource["uid"] != "${datasource}" || p.DataSource["uid"] != "${datasource}" {
			t.Errorf("%s: target %d is %q of %v", p.Title, i, target.RefID, target.DataSource)
		}
	}
}

// wantPlace takes the cells that a panel covers.
func (p *graphPanel) wantPlace(t *testing.T, cells map[[2]int]string) {
	t.Helper()
	if p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
		t.Errorf("%s is outside of the grid: %v", p.Title, p.GridPos)
	}
	for x := range p.GridPos.W {
		for y := range p.GridPos.H {
			cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
			if other := cells[cell]; other != "" {
				t.Fatalf("%s covers %s", p.Title, other)
			}
			cells[cell] = p.Title
		}
	}
}

// prometheus is a server that scrapes.
type prometheus struct {
	t    *testing.T
	base string
}

// runPrometheus scrapes an admin endpoint, and has the rules of the examples.
func runPrometheus(t *testing.T, scraped string) *prometheus {
	t.Helper()
	_, err := exec.LookPath("prometheus")
	requireProgram(t, err == nil, "prometheus")
	dir, port := t.TempDir(), freePort(t)
	rules, err := filepath.Abs("../examples/prometheus-alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	writeFiles(t, map[string]string{config: fmt.Sprintf("global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n  evaluation_interval: 250ms\n"+
		"rule_files: [%q]\nscrape_configs:\n  - job_name: caddy\n    static_configs:\n      - targets: [%q]\n", rules, scraped)})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	runUpstream(t, address, exec.CommandContext(t.Context(), "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn"))
	eventually(t, "Prometheus to be ready", func() bool {
		response, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return &prometheus{t, "http://" + address + "/api/v1/"}
}

// get asks its API, which says what is wrong with an expression.
func (p *prometheus) get(path string, query url.Values, data any) {
	p.t.Helper()
	response, err := http.Get(p.base + path + "?" + query.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		p.t.Errorf("%s %v: %v %s", path, query, err, answer.Error)
	}
}

// values are how many series an expression gives.
func (p *prometheus) values(expr string) int {
	p.t.Helper()
	var data struct {
		Result []json.RawMessage `json:"result"`
	}
	p.get("query", url.Values{"query": {expr}}, &data)
	return len(data.Result)
}

// asGrafana puts in for the variables what Grafana does.
func asGrafana(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$instance", ".*").Replace(expr)
}

// TestDashboardAndAlertsInPrometheus: every expression of the dashboard, of the page on metrics and of the alerts is asked of a
// real Prometheus that has scraped a real Caddy, and what has happened there is seen.
func TestDashboardAndAlertsInPrometheus(t *testing.T) {
	m := runMetered(t)
	p := runPrometheus(t, m.address)
	traffic := func() {
		etag := m.c.must(t, http.StatusOK, http.MethodGet, "/remembered/", "").header.Get("Etag")
		m.c.must(t, http.StatusNotModified, http.MethodGet, "/remembered/", "", "If-None-Match", etag)
		m.c.must(t, http.StatusOK, http.MethodGet, "/remembered/private", "")
		m.c.must(t, http.StatusOK, http.MethodPut, "/remembered/", "x", "If-Match", etag)
	}
	traffic()
	eventually(t, "a first scrape", func() bool { return p.values("caddy_conditional_cache_tags_sent_total > 0") > 0 })
	traffic()
	eventually(t, "a rate", func() bool { return p.values("rate(caddy_conditional_cache_upstream_calls_saved_total[1m]) > 0") > 0 })

	// There is no store outside of this process, and none is left alone.
	empty := regexp.MustCompile(`store_call_seconds`)
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			if n := p.values(asGrafana(target.Expr)); n == 0 && !empty.MatchString(target.Expr) {
				t.Errorf("%s: nothing is drawn of %s", panel.Title, target.Expr)
			}
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| .*\\| `(.*\\(caddy_.*)` \\|$").FindAllStringSubmatch(readDoc(t, "../docs/metrics.md"), -1) {
		if p.values(row[1]) == 0 {
			t.Errorf("docs/metrics.md: nothing comes of %s", row[1])
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	eventually(t, "the rules to be evaluated", func() bool {
		p.get("rules", nil, &rules)
		return len(rules.Groups) == 1 && !slices.ContainsFunc(rules.Groups[0].Rules, func(r struct{ Name, Health, LastError string }) bool { return r.Health == "unknown" })
	})
	for _, rule := range rules.Groups[0].Rules {
		if rule.Health != "ok" {
			t.Errorf("alert %s is %s: %s", rule.Name, rule.Health, rule.LastError)
		}
	}
}

// describedMetric is what a metric says of itself.
var describedMetric = regexp.MustCompile(`fqName: "caddy_conditional_cache_(.*?)".*variableLabels: \{(.*?)\}`)

// TestMetricsPage: docs/metrics.md has all metrics there are, with their labels, and no others.
func TestMetricsPage(t *testing.T) {
	descriptions := make(chan *prom.Desc, 100)
	(&metrics.Collector{Tally: metrics.New()}).Describe(descriptions)
	close(descriptions)
	want := make(map[string]string)
	for d := range descriptions {
		said := describedMetric.FindStringSubmatch(d.String())
		if said == nil {
			t.Fatalf("%s is not understood", d)
		}
		want[said[1]] = said[2]
	}
	got := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.*?) ?\\| ").FindAllStringSubmatch(readDoc(t, "../docs/metrics.md"), -1) {
		got[row[1]] = strings.NewReplacer("`", "", ", ", ",").Replace(row[2])
	}
	if !maps.Equal(got, want) {
		t.Errorf("docs/metrics.md has\n%v\nand there is\n%v", got, want)
	}
}
