package main

import (
	"maps"
	"net/http"
	"regexp"
	"slices"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// figure is what a row compares.
type figure int

const (
	cpuTimeOfRequest figure = iota
	latencyP99
)

// row is a line of the table: the same requests go to two sites.
type row struct {
	name        string
	page        string // path at the upstream, see upstream.go
	connections int    // that wrk keeps busy
	conditional bool   // the requests name the tag that the site `with` has given the page
	compares    figure
	accepts     string // the content coding that the requests accept, and that both sites answer with; empty: none
	longer      int    // a run takes this many times the seconds of others; 0: as many
	bare, with  site
}

// site is one side of a row, and how it has to answer.
type site struct {
	before []rig.Module // handlers before the proxy
	status int
	tagged bool // the answer has an entity tag
	alike  bool // asks no upstream: it answers with the status and the fields of the other site's answer
}

// proxied is Caddy without this module.
var proxied = site{status: http.StatusOK}

// held is the directive without options, and a page that it tags.
var held = site{before: conditionalCache(nil), status: http.StatusOK, tagged: true}

// notModified is the same, where the client has the page.
var notModified = site{before: conditionalCache(nil), status: http.StatusNotModified, tagged: true}

// compressing is Caddy's encode, and compressingOnce the same with encode_once behind it.
func compressing(coding string) site {
	return site{before: encode(coding), status: http.StatusOK}
}

func compressingOnce(coding string) site {
	once := rig.Module{"encode_once": rig.Module{"encodings": rig.Module{coding: rig.Module{}}}}
	return site{before: append(encode(coding), conditionalCache(once)...), status: http.StatusOK, tagged: true}
}

func encode(coding string) []rig.Module {
	return []rig.Module{{"handler": "encode", "encodings": rig.Module{coding: rig.Module{}}}}
}

// compressed is a row of a page that is compressed.
func compressed(name, page, coding string) row {
	return row{name: name + ", " + coding, page: page, connections: 16, accepts: coding, bare: compressing(coding), with: compressingOnce(coding)}
}

var rows = []row{
	{name: "A/A 4KiB", page: "/length/4096", connections: 16, bare: proxied, with: proxied},
	{
		name: "etag off 4KiB", page: "/length/4096", connections: 16, bare: proxied,
		with: site{before: conditionalCache(rig.Module{"etag": rig.Module{"mode": "off"}}), status: http.StatusOK},
	},
	{name: "held 200 4KiB", page: "/length/4096", connections: 16, bare: proxied, with: held},
	{name: "held 200 64KiB", page: "/length/65536", connections: 16, bare: proxied, with: held},
	{name: "held 200 1MiB", page: "/length/1048576", connections: 8, bare: proxied, with: held},
	{name: "304 to our tag, of 200 4KiB", page: "/length/4096", connections: 16, conditional: true, bare: proxied, with: notModified},
	{name: "304 to our tag, of 200 64KiB", page: "/length/65536", connections: 16, conditional: true, bare: proxied, with: notModified},
	{name: "chunked 16KiB", page: "/chunked/16384", connections: 16, bare: proxied, with: held},
	{
		name: "streamed 16MiB", page: "/length/16777216", connections: 4, longer: 3, bare: proxied,
		with: site{before: conditionalCache(nil), status: http.StatusOK}, // too long to be held
	},
	{
		name: "remembered 304, of respond 304", page: "/public/4096", connections: 16, conditional: true,
		bare: site{status: http.StatusNotModified, tagged: true, alike: true},
		with: site{
			before: conditionalCache(rig.Module{"remember": rig.Module{"ttl": "1h"}}), status: http.StatusNotModified, tagged: true,
		},
	},
	compressed("encode_once 4KiB", "/markup/4096", "gzip"),
	compressed("encode_once 16KiB", "/markup/16384", "gzip"),
	compressed("encode_once 64KiB", "/markup/65536", "gzip"),
	compressed("encode_once 16KiB", "/markup/16384", "zstd"),
	compressed("encode_once 64KiB", "/markup/65536", "zstd"),
	compressed("encode_once, new each time 16KiB", "/changing/16384", "gzip"),
	compressed("encode_once, new each time 64KiB", "/changing/65536", "gzip"),
	compressed("encode_once, new each time 64KiB", "/changing/65536", "zstd"),
	{
		name: "p99 of 1,000 connections, 4KiB", page: "/length/4096", connections: 1000, compares: latencyP99, longer: 4,
		bare: proxied, with: held,
	},
}

// conditionalCache is the handler of this module with these options.
func conditionalCache(options rig.Module) []rig.Module {
	configured := rig.Module{"handler": "conditional_cache"}
	maps.Copy(configured, options)
	return []rig.Module{configured}
}

func matching(pattern *regexp.Regexp) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !pattern.MatchString(r.name) })
}

func rowNames() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func (f figure) String() string {
	if f == latencyP99 {
		return "p99 latency"
	}
	return "CPU a request"
}
