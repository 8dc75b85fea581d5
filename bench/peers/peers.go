// Package peers measures this module beside what else stands before a site: nginx, Varnish, Caddy alone, and Caddy with
// cache-handler, each as a process of its own before one upstream, under the same load.
//
// A row is a kind of request. Of the servers that take part in it, each is started anew, asked once or twice to see that
// it answers as the row says, warmed up, and then measured in rounds: all after each other, again and again, so that the
// noise of the machine hits all alike. The figures are medians of the rounds. CPU time and peak memory are those of all
// processes of a server together.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// Options are what the command line says.
type Options struct {
	Rounds       int
	Seconds      int // of each run
	Rows         *regexp.Regexp
	Short        bool
	Caddy        string // a binary with this module; empty: one is built
	CacheHandler string // a Caddy with cache-handler; "build": one is built; empty: none
	Markdown     string // a file for the page; its charts go to the folder images beside it; empty: none
	Progress     io.Writer
	Output       io.Writer
}

// lab is what all rows share.
type lab struct {
	Options

	dir            string
	files          string // a folder with the upstream's pages
	upstream       *rig.Process
	certificate    certificate
	client         *http.Client // of HTTP/1.1 and 2; each request on a connection of its own
	caddy          string
	cacheHandler   string
	noCacheHandler error // why there is none
	present        map[kind]bool
}

// Run measures what is asked for, and prints it.
func Run(ctx context.Context, o Options) error {
	chosen := matching(o.Rows, o.Short)
	site := o.Rows.MatchString(siteName)
	if len(chosen) == 0 && !site {
		return fmt.Errorf("no row matches %q", o.Rows)
	}
	dir, err := os.MkdirTemp("", "conditional-cache-peers-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := setUp(ctx, o, dir, chosen)
	if err != nil {
		return err
	}
	defer l.upstream.End()
	report := report{conditions: conditionsOf(ctx, o, time.Now())}
	failure := l.measureAll(ctx, chosen, &report)
	if failure == nil && site {
		report.site, failure = l.measureSite(ctx)
	}
	return errors.Join(failure, publish(o, report))
}

// setUp makes ready what all rows share, and says who is left out.
func setUp(ctx context.Context, o Options, dir string, chosen []row) (l *lab, err error) {
	l = &lab{Options: o, dir: dir, files: filepath.Join(dir, "files"), caddy: o.Caddy, present: make(map[kind]bool)}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // for nginx's workers, which may run as another user
		return nil, err
	}
	if l.caddy == "" {
		l.say("building Caddy")
		if l.caddy, err = rig.BuildCaddy(ctx, dir); err != nil {
			return nil, err
		}
	}
	l.cacheHandler, l.noCacheHandler = obtainCacheHandler(ctx, o.CacheHandler, dir)
	if l.certificate, err = selfSigned(dir, time.Now()); err != nil {
		return nil, err
	}
	if l.client, err = clientFor(l.certificate); err != nil {
		return nil, err
	}
	if err := errors.Join(writeFiles(l.files, chosen), os.WriteFile(filepath.Join(dir, scriptName), []byte(wrkScript), 0o600)); err != nil {
		return nil, err
	}
	for _, k := range kinds {
		err := l.missing(k)
		if l.present[k] = err == nil; err != nil {
			l.say("%v", err)
		}
	}
	l.upstream, err = rig.StartUpstream(ctx)
	return l, err
}

func (l *lab) say(format string, values ...any) {
	_, _ = fmt.Fprintf(l.Progress, format+"\n", values...)
}

// measureAll adds the rows that were finished to the report.
func (l *lab) measureAll(ctx context.Context, chosen []row, to *report) error {
	for i, r := range chosen {
		l.say("%d of %d: %s", i+1, len(chosen), r.name)
		if r.byTLS() {
			if _, err := exec.LookPath("h2load"); err != nil {
				l.say("the row is left out: h2load is not installed; on Debian and Ubuntu: apt-get install nghttp2-client")
				continue
			}
		}
		measured, err := l.measure(ctx, r)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		to.rows = append(to.rows, measured)
	}
	return nil
}
