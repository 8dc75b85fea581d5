package integration

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestNoUpdateIsLostByAnyName: clients append to one list, each time upon what they have read, and name that as they
// please: by the upstream's tag out of a PROPFIND, by ours, by both, by what the answer to their last write said. In the
// end everything that anybody appended is there, once.
func TestNoUpdateIsLostByAnyName(t *testing.T) {
	for name, tt := range map[string]struct {
		directives string
		lax        bool
		apache     bool
		tag        func(int) string
	}{
		"replaced":                    {directives: replacing},
		"replaced, nobody compares":   {directives: replacing, lax: true},
		"replaced, whole seconds":     {directives: replacing, lax: true, tag: func(int) string { return fmt.Sprintf(`"%x-7"`, namingDate.Unix()) }},
		"removed, and the upstream's": {directives: "conditional_cache {\n etag strong {\n existing remove\n }\n guard_writes\n}\n"},
		"guarded, nobody compares":    {directives: guarding, lax: true},
		"bare, behind encode":         {directives: "encode gzip\nconditional_cache\n"},
		"bare, the upstream codes":    {directives: "conditional_cache\n", apache: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := &naming{version: 1, text: longText, lax: tt.lax, tag: tt.tag, dated: tt.tag != nil}
			if tt.apache {
				n.coded = likeApache(n)
			}
			c := noteSite(t, tt.directives+"reverse_proxy {upstream}", n)
			c.acceptEncoding = "gzip"
			n.race(t, c)
		})
	}
}

// race lets writers append, and looks for what they have appended.
func (n *naming) race(t *testing.T, c *client) {
	t.Helper()
	const writers, appends = 4, 12
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			last := ""
			for i := range appends {
				last = c.appendByAnyName(t, n, fmt.Sprintf("%d/%d", writer, i), last)
			}
		})
	}
	all.Wait()
	for i := range writers * appends {
		if line := fmt.Sprintf("\n%d/%d\n", i/appends, i%appends); strings.Count(n.text, line) != 1 {
			t.Errorf("%q is there %d times", line, strings.Count(n.text, line))
		}
	}
}

// appendByAnyName reads the list and writes it with a further line, until that is in it. It returns what the answer to
// the write named.
func (c *client) appendByAnyName(t *testing.T, n *naming, line, last string) string {
	t.Helper()
	for range 2000 {
		// Version and text are read at one time, as a PROPFIND with the content would say them.
		n.mu.Lock()
		text, own := n.text, n.current()
		n.mu.Unlock()
		match := own
		switch pick := rand.IntN(4); {
		case pick == 0 && last != "":
			match = last
			last = ""
		case pick < 3:
			read := c.get(t, "/", nil)
			text = n.textOf(read)
			if match = read.header.Get("Etag"); pick == 2 && match != "" {
				match = `"another", ` + match
			}
		}
		if text == "" || match == "" {
			continue
		}
		got, err := c.write(t.Context(), "PUT", "/", text+line+"\n", "If-Match", match)
		if err == nil && got.status == http.StatusNoContent {
			return got.header.Get("Etag")
		}
	}
	t.Errorf("%s was never written", line)
	return ""
}

// textOf is the text of an answer, decoded.
func (n *naming) textOf(got answer) string {
	if got.header.Get("Content-Encoding") != "gzip" {
		return got.body
	}
	z, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return ""
	}
	return string(text)
}
