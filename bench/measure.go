package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// pairsOfProcess is how many pairs are measured before both Caddys are started anew.
const pairsOfProcess = 7

// lab is what all rows share.
type lab struct {
	options

	dir      string // for Caddy's files
	upstream *rig.Process
	client   *http.Client
}

func setUp(ctx context.Context, o options, dir string) (*lab, error) {
	if o.caddy == "" {
		_, _ = fmt.Fprintln(os.Stderr, "building Caddy")
		binary, err := rig.BuildCaddy(ctx, dir)
		if err != nil {
			return nil, err
		}
		o.caddy = binary
	}
	upstream, err := rig.StartUpstream(ctx)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	return &lab{o, dir, upstream, &http.Client{Transport: transport, Timeout: rig.StartTime}}, nil
}

func (g *lab) close() { g.upstream.End() }

// result is what a row has come to. Times are in microseconds.
type result struct {
	row              row
	bare, with       rig.Quartiles
	ratio            rig.Quartiles
	bares, withs, of []float64 // of each pair
}

// measure measures the pairs of a row.
func (g *lab) measure(ctx context.Context, r row) (result, error) {
	measured := result{row: r}
	for len(measured.of) < g.pairs {
		if err := g.measureSome(ctx, &measured, min(pairsOfProcess, g.pairs-len(measured.of))); err != nil {
			return result{}, err
		}
	}
	measured.bare, measured.with = rig.QuartilesOf(measured.bares), rig.QuartilesOf(measured.withs)
	measured.ratio = rig.QuartilesOf(measured.of)
	return measured, nil
}

// measureSome measures pairs of one start of the two servers.
func (g *lab) measureSome(ctx context.Context, measured *result, pairs int) error {
	d, err := g.startDuel(ctx, measured.row)
	defer d.end()
	if err != nil {
		return err
	}
	if _, _, err := d.pair(ctx, g.seconds, true); err != nil { // to warm up
		return err
	}
	for range pairs {
		bareFirst := len(measured.of)%2 == 0
		bare, with, err := d.pair(ctx, g.seconds, bareFirst)
		if err != nil {
			return err
		}
		measured.bares, measured.withs = append(measured.bares, bare), append(measured.withs, with)
		measured.of = append(measured.of, with/bare)
		_, _ = fmt.Fprint(os.Stderr, ".")
	}
	return nil
}

// duel is two Caddys that answer the same requests.
type duel struct {
	row            row
	fields         []string // of the requests
	bare, with     *rig.Process
	ofBare, ofWith int64 // the length of the body that each answers with
}

func (d *duel) end() {
	d.bare.End()
	d.with.End()
}

// startDuel starts the two and looks at how they answer. The duel is to be ended whether there is an error or not.
func (g *lab) startDuel(ctx context.Context, r row) (d *duel, err error) {
	d = &duel{row: r}
	proxy := []rig.Module{rig.ProxyTo(g.upstream.Address)}
	if d.with, err = startCaddy(ctx, g.caddy, g.dir, slices.Concat(r.with.before, proxy)); err != nil {
		return d, err
	}
	if r.accepts != "" {
		d.fields = append(d.fields, "Accept-Encoding: "+r.accepts)
		for range 2 { // what comes again is kept
			if _, err := g.ask(ctx, d.with, r, d.fields); err != nil {
				return d, err
			}
		}
	}
	if r.conditional {
		// This is also the request after which the page may be remembered.
		first, err := g.ask(ctx, d.with, r, nil)
		if err != nil {
			return d, err
		}
		d.fields = append(d.fields, "If-None-Match: "+first.header.Get("Etag"))
	}
	answer, err := g.check(ctx, d.with, r, r.with, d.fields)
	if err != nil {
		return d, err
	}
	d.ofWith = answer.length
	handlers := slices.Concat(r.bare.before, proxy)
	if r.bare.alike {
		handlers = []rig.Module{rig.Respond(answer.status, answer.header)}
	}
	if d.bare, err = startCaddy(ctx, g.caddy, g.dir, handlers); err != nil {
		return d, err
	}
	answer, err = g.check(ctx, d.bare, r, r.bare, d.fields)
	d.ofBare = answer.length
	return d, err
}

// startCaddy starts a Caddy with these handlers.
func startCaddy(ctx context.Context, binary, dir string, handlers []rig.Module) (*rig.Process, error) {
	address, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	site := rig.Site(address, []rig.Module{{"handle": handlers}})
	apps := rig.Module{"http": rig.Module{"servers": rig.Module{"bench": site}}}
	return rig.Caddy{Binary: binary, Dir: dir}.Start(ctx, address, rig.Quiet(apps))
}

// answer is what a site has answered.
type answer struct {
	status int
	header http.Header
	length int64 // of the body
}

func (g *lab) ask(ctx context.Context, p *rig.Process, r row, fields []string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address+r.page, nil) //nolint:gosec // a server of ours
	if err != nil {
		return answer{}, err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	response, err := g.client.Do(request) //nolint:gosec // a server of ours
	if err != nil {
		return answer{}, p.Failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	length, err := io.Copy(io.Discard, response.Body)
	return answer{response.StatusCode, response.Header, length}, err
}

// check compares an answer with what a row says of it.
func (g *lab) check(ctx context.Context, p *rig.Process, r row, s site, fields []string) (answer, error) {
	got, err := g.ask(ctx, p, r, fields)
	if err != nil {
		return got, err
	}
	tagged := got.header.Get("Etag") != ""
	if got.status != s.status || tagged != s.tagged || !r.allows(got, s) {
		return got, fmt.Errorf("the site answers %d with %d bytes and the fields %v; want %d, %d bytes, a tag: %t",
			got.status, got.length, got.header, s.status, r.bodyOf(s), s.tagged)
	}
	return got, nil
}

// allows reports whether the body is as long as that of the page, or else compressed.
func (r row) allows(got answer, s site) bool {
	if r.accepts == "" {
		return got.length == r.bodyOf(s)
	}
	return got.header.Get("Content-Encoding") == r.accepts && got.length > 0 && got.length < r.bodyOf(s)
}

// bodyOf is the length of the body that a site answers with.
func (r row) bodyOf(s site) int64 {
	if s.status == http.StatusNotModified {
		return 0
	}
	length, _ := strconv.ParseInt(r.page[strings.LastIndexByte(r.page, '/')+1:], 10, 64)
	return length
}

// pair measures the two, one after the other.
func (d *duel) pair(ctx context.Context, seconds int, bareFirst bool) (bare, with float64, err error) {
	if bareFirst {
		if bare, err = d.once(ctx, seconds, d.bare, d.ofBare); err != nil {
			return 0, 0, fmt.Errorf("bare Caddy: %w", err)
		}
	}
	if with, err = d.once(ctx, seconds, d.with, d.ofWith); err != nil {
		return 0, 0, fmt.Errorf("caddy with the module: %w", err)
	}
	if !bareFirst {
		if bare, err = d.once(ctx, seconds, d.bare, d.ofBare); err != nil {
			return 0, 0, fmt.Errorf("bare Caddy: %w", err)
		}
	}
	return bare, with, nil
}

// once is one run of wrk, and what the row compares of it, in microseconds.
func (d *duel) once(ctx context.Context, seconds int, p *rig.Process, length int64) (float64, error) {
	pid := p.PID()
	before, err := rig.CPUTimeAtRest(ctx, pid)
	if err != nil {
		return 0, p.Failed(err)
	}
	run := load{"http://" + p.Address + d.row.page, d.fields, d.row.connections, seconds * max(1, d.row.longer)}
	got, err := run.run(ctx)
	if err != nil {
		return 0, p.Failed(err)
	}
	after, err := rig.CPUTimeAtRest(ctx, pid)
	if err != nil {
		return 0, p.Failed(err)
	}
	if err := got.fits(length); err != nil {
		return 0, err
	}
	if d.row.compares == latencyP99 {
		return microseconds(got.p99), nil
	}
	return microseconds(after-before) / float64(got.requests), nil
}

// fits finds answers of another kind, which wrk takes for good, by their size: a head has less than 2 KiB. What was
// under way when the run ended counts among the octets, but not among the requests.
func (s seen) fits(body int64) error {
	const head = 2 << 10
	each := s.octets / float64(s.requests)
	if low, high := 0.98*float64(body), 1.25*float64(body)+head; s.requests >= 100 && (each < low || each > high) {
		return fmt.Errorf("the answers had %.0f bytes each, want %d and a head", each, body)
	}
	return nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
