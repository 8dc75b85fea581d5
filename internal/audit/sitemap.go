package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	// maxSitemaps is how many files of one index are read.
	maxSitemaps = 50
	// maxSitemap is how long one may be once it is decoded: what sitemaps.org allows.
	maxSitemap = 50 << 20
	// maxLine is the longest line of a list of URLs.
	maxLine = 64 << 10
)

// List is where URLs come from besides the command line.
type List struct {
	URLs []*url.URL
	// Elsewhere is how many there are of other hosts, which a sitemap does not speak for.
	Elsewhere int
}

// Sitemap reads a sitemap, or an index and the sitemaps of the same host that it names (sitemaps.org). Each may be
// compressed with gzip.
func Sitemap(ctx context.Context, options *Options, at *url.URL) (list List, err error) {
	connections := new(wires)
	defer connections.close()
	v := newVisitor(options, connections, at)
	waiting, read := []*url.URL{at}, make(map[string]bool)
	for len(waiting) > 0 && len(read) < maxSitemaps {
		next := waiting[0]
		waiting = waiting[1:]
		if read[next.String()] {
			continue
		}
		read[next.String()] = true
		pages, maps, err := v.sitemap(ctx, next)
		if err != nil {
			return list, fmt.Errorf("sitemap %s: %w", next, err)
		}
		for _, u := range maps {
			if v.own(u) {
				waiting = append(waiting, u)
			}
		}
		for _, u := range pages {
			if v.own(u) {
				list.URLs = append(list.URLs, u)
			} else {
				list.Elsewhere++
			}
		}
	}
	if len(list.URLs) == 0 {
		return list, fmt.Errorf("sitemap %s has no URL of its own host", at)
	}
	return list, nil
}

// sitemap asks for one file.
func (v *visitor) sitemap(ctx context.Context, at *url.URL) (pages, maps []*url.URL, err error) {
	unbounded := *v.options
	unbounded.MaxBody = maxSitemap
	v.options = &unbounded
	e := v.ask(ctx, &step{keep: true}, at, v.addressOf(at), http.Header{"Accept-Encoding": {"identity"}})
	switch {
	case e.Err != nil:
		return nil, nil, e.Err
	case e.Status != http.StatusOK:
		return nil, nil, fmt.Errorf("the answer is %d", e.Status)
	}
	var body io.Reader = bytes.NewReader(e.Body)
	if bytes.HasPrefix(e.Body, []byte{0x1f, 0x8b}) {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, nil, err
		}
	}
	return readSitemap(io.LimitReader(body, maxSitemap))
}

// readSitemap reads the places in a sitemap or an index. What is no URL is left out.
func readSitemap(r io.Reader) (pages, maps []*url.URL, err error) {
	decoder := xml.NewDecoder(r)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return pages, maps, nil
		}
		if err != nil {
			return nil, nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "url" && start.Name.Local != "sitemap" {
			continue
		}
		var entry struct {
			Loc string `xml:"loc"`
		}
		if err := decoder.DecodeElement(&entry, &start); err != nil {
			return nil, nil, err
		}
		u, err := ParseURL(strings.TrimSpace(entry.Loc))
		switch {
		case err != nil:
		case start.Name.Local == "url":
			pages = append(pages, u)
		default:
			maps = append(maps, u)
		}
	}
}

// ReadURLs reads a list with one URL a line. Empty lines, and those that begin with #, do not count.
func ReadURLs(r io.Reader) (urls []*url.URL, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		u, err := ParseURL(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		urls = append(urls, u)
	}
	return urls, lines.Err()
}
