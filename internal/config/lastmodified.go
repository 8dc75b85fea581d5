package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/conditionalcache/caddy-conditional-cache/internal/lastmodified"
)

// LastModified is `last_modified`.
type LastModified struct {
	Mode    string
	From    []LastModifiedSource
	Lenient bool
}

// LastModifiedSource is one `from` of `last_modified`.
type LastModifiedSource struct {
	Header    string
	JSON      string
	File      []string
	FirstSeen bool
	Layout    string
}

// LastModifiedMode are the words of `last_modified`.
var LastModifiedMode = Choice{Of: "last_modified", Words: []string{"normalize", "off", "remove"}, On: "normalize"}

// Check refuses what is wrong in `last_modified` by itself.
func (l LastModified) Check() error {
	if err := LastModifiedMode.Check(l.Mode); err != nil {
		return err
	}
	if l.Mode == "remove" && len(l.From) > 0 {
		return errors.New("last_modified remove sends no date, so from has nothing to give; remove from, or write last_modified normalize")
	}
	if err := l.checkFirstSeen(); err != nil {
		return fmt.Errorf("last_modified from: %w", err)
	}
	sources := l.sources()
	for i, source := range sources {
		if err := source.Check(); err != nil {
			return fmt.Errorf("last_modified from: %w", err)
		}
		if slices.ContainsFunc(sources[:i], func(above lastmodified.Source) bool { return above.Same(source) }) {
			return fmt.Errorf("last_modified from: %s is given twice; give it once", source)
		}
	}
	return nil
}

func (l LastModified) checkFirstSeen() error {
	times := 0
	for _, from := range l.From {
		switch {
		case !from.FirstSeen:
			continue
		case from.Header != "" || from.JSON != "" || len(from.File) > 0:
			return errors.New("a source is one of header, json, file and first_seen; write a source for each")
		case from.Layout != "":
			return errors.New("first_seen is no date of the response, so there is no layout to read; remove it")
		}
		times++
	}
	if times > 1 {
		return errors.New("first_seen is given twice; give it once")
	}
	return nil
}

// firstSeen reports whether first_seen is among the sources.
func (l LastModified) firstSeen() bool {
	return slices.ContainsFunc(l.From, func(s LastModifiedSource) bool { return s.FirstSeen })
}

// sources are those of from but first_seen, as package lastmodified has them.
func (l LastModified) sources() []lastmodified.Source {
	sources := make([]lastmodified.Source, 0, len(l.From))
	for _, from := range l.From {
		if !from.FirstSeen {
			sources = append(sources, lastmodified.Source{Header: from.Header, JSON: from.JSON, Files: from.File, Layout: from.Layout})
		}
	}
	return sources
}

// checkSources refuses a source that never comes to be read.
func (h *Handler) checkSources() error {
	inBody := slices.ContainsFunc(valueOr(h.LastModified).From, func(s LastModifiedSource) bool { return s.JSON != "" })
	if inBody && valueOr(h.ETag).Mode == "off" {
		return errors.New("last_modified from json reads the buffered body, and under etag off no body is buffered; remove one of them")
	}
	return nil
}

// checkFirstSeen refuses first_seen where there is no tag to be seen.
func (h *Handler) checkFirstSeen() error {
	if valueOr(h.LastModified).firstSeen() && valueOr(h.ETag).Mode == "off" {
		return errors.New("last_modified from first_seen dates entity tags, and etag off makes none; remove one of them")
	}
	return nil
}
