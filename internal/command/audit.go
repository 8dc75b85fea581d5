package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
	"github.com/conditionalcache/caddy-conditional-cache/internal/audit/report"
)

const (
	// defaultLimit is how many URLs are looked at where nobody says how many.
	defaultLimit = 100
	maxLimit     = 10_000
)

// errFindings makes the exit status 1. The report has said all there is to say.
var errFindings = errors.New("there are findings")

// auditHelp takes the number of requests.
const auditHelp = `
Asks a server, any server, for each URL as a browser does, again and again under
other conditions, and reports what is wrong with its entity tags, dates, 304
responses, ranges and Cache-Control, and which lines of a Caddyfile mend it.

Only GET and HEAD are sent, at most %d requests to a URL, one after the other,
and one more for each further --address.

URLs come from the command line, from a sitemap (--sitemap, which may be an
index and compressed) and from a file with one on a line (--file, - for stdin).

With several --address, each is asked for the page, and all have to agree. The
first one gets all other requests.

Fields given with --header, and the cookies of --cookie-jar (a file as curl
writes it), are sent to the given URLs only, and are in no report.

The exit status is 0 if nothing is to be mended, 1 if there are warnings or
errors, and 2 if the command cannot be carried out as it was given.
`

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit <url>... [--sitemap <url>] [--file <path>] [--address <host:port>]... [--header <field>]... " +
			"[--cookie-jar <path>] [--concurrency <n>] [--limit <n>] [--timeout <duration>] [--json] [--html <path>]",
		Short:   "Looks at what a server's caching and conditional requests get wrong",
		Long:    fmt.Sprintf(auditHelp, audit.MaxRequests),
		Example: "  $ caddy conditional-cache audit https://example.com/",
	}
	flags := cmd.Flags()
	flags.StringArray("sitemap", nil, "URL of a sitemap whose pages are looked at")
	flags.StringArray("file", nil, "File of URLs, one on a line; - is stdin")
	flags.StringArray("address", nil, "Where to find the host of the URLs, instead of in DNS")
	flags.StringArrayP("header", "H", nil, `Field to send, as "Name: value"`)
	flags.String("cookie-jar", "", "File of cookies to send")
	flags.Int("concurrency", audit.DefaultConcurrency, "How many URLs are looked at at one time, 1 to 16")
	flags.Int("limit", defaultLimit, "How many URLs are looked at in all")
	flags.Duration("timeout", audit.DefaultTimeout, "How long a request may take")
	flags.Bool("json", false, "Print the report as JSON")
	flags.String("html", "", "File to write the report to as a page")
	cmd.SetFlagErrorFunc(usageError)
	cmd.RunE = runAudit
	return cmd
}

// asked is what the flags and arguments say.
type asked struct {
	options audit.Options
	urls    []*url.URL
	leftOut int
	json    bool
	page    *os.File // nil: no page is to be written
}

func runAudit(cmd *cobra.Command, args []string) error {
	// Flags are read by their names, and a name that is wrong shows in the first test.
	a, err := readFlags(cmd, args)
	if err != nil {
		return usageError(cmd, err)
	}
	bar := newProgress(cmd.ErrOrStderr())
	a.options.Progress = bar.show
	result := audit.Run(contextOf(cmd), &a.options, a.urls)
	bar.clear()
	if err := a.write(cmd.OutOrStdout(), result); err != nil {
		return usageError(cmd, err)
	}
	if !result.Good() {
		cmd.SilenceErrors = true
		return errFindings
	}
	return nil
}

// contextOf is that of a command, which Caddy gives none.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func readFlags(cmd *cobra.Command, args []string) (a *asked, err error) {
	flags := cmd.Flags()
	a = new(asked)
	a.json, _ = flags.GetBool("json")
	a.options.Addresses, _ = flags.GetStringArray("address")
	a.options.Concurrency, _ = flags.GetInt("concurrency")
	a.options.Timeout, _ = flags.GetDuration("timeout")
	if a.options.Concurrency == 0 || a.options.Timeout == 0 {
		return nil, errors.New("concurrency and timeout have to be more than nothing")
	}
	fields, _ := flags.GetStringArray("header")
	if a.options.Header, err = readFields(fields); err != nil {
		return nil, err
	}
	if path, _ := flags.GetString("cookie-jar"); path != "" {
		if a.options.Cookies, err = readJar(path); err != nil {
			return nil, err
		}
	}
	if err := a.options.Check(); err != nil {
		return nil, err
	}
	// Before anything is asked for: the audit may take minutes.
	if path, _ := flags.GetString("html"); path != "" {
		if a.page, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); err != nil { //nolint:gosec // G304: the user names it on the command line
			return nil, err
		}
	}
	return a, a.readURLs(cmd, args)
}

// readFields reads `Name: value`.
func readFields(lines []string) (http.Header, error) {
	h := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			// Not the line itself: it may hold what is secret.
			return nil, fmt.Errorf("header %q has to be \"Name: value\"", strings.TrimSpace(name))
		}
		name = http.CanonicalHeaderKey(name)
		if slices.Contains(ours, name) {
			return nil, fmt.Errorf("header %s is what the audit asks with, and cannot be given", name)
		}
		h[name] = append(h[name], value)
	}
	return h, nil
}

// ours are the fields that the probes differ in.
var ours = []string{
	"Accept-Encoding", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range", "Origin",
	"Connection", "Content-Length", "Transfer-Encoding",
}

func readJar(path string) ([]audit.Cookie, error) {
	file, err := os.Open(path) //nolint:gosec // G304: the user names it on the command line
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	cookies, err := audit.ReadCookies(file)
	if err != nil {
		return nil, fmt.Errorf("cookie jar %s: %w", path, err)
	}
	return cookies, nil
}

// readURLs gathers the URLs, each once.
func (a *asked) readURLs(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		u, err := audit.ParseURL(arg)
		if err != nil {
			return err
		}
		a.urls = append(a.urls, u)
	}
	files, _ := cmd.Flags().GetStringArray("file")
	for _, path := range files {
		urls, err := readFile(cmd.InOrStdin(), path)
		if err != nil {
			return fmt.Errorf("file %s: %w", path, err)
		}
		a.urls = append(a.urls, urls...)
	}
	sitemaps, _ := cmd.Flags().GetStringArray("sitemap")
	for _, sitemap := range sitemaps {
		u, err := audit.ParseURL(sitemap)
		if err != nil {
			return err
		}
		list, err := audit.Sitemap(contextOf(cmd), &a.options, u)
		if err != nil {
			return err
		}
		a.urls = append(a.urls, list.URLs...)
		a.leftOut += list.Elsewhere
	}
	return a.bound(cmd)
}

func readFile(stdin io.Reader, path string) ([]*url.URL, error) {
	if path == "-" {
		return audit.ReadURLs(stdin)
	}
	file, err := os.Open(path) //nolint:gosec // G304: the user names it on the command line
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	return audit.ReadURLs(file)
}

// bound leaves out what is there twice or too much.
func (a *asked) bound(cmd *cobra.Command) error {
	limit, _ := cmd.Flags().GetInt("limit")
	if limit < 1 || limit > maxLimit {
		return fmt.Errorf("limit is %d; it may be 1 to %d", limit, maxLimit)
	}
	seen, hosts := make(map[string]bool), make(map[string]bool)
	a.urls = slices.DeleteFunc(a.urls, func(u *url.URL) bool {
		twice := seen[u.String()]
		seen[u.String()] = true
		hosts[strings.ToLower(u.Hostname())] = true
		return twice
	})
	switch {
	case len(a.urls) == 0:
		return errors.New("no URL is given; name one, or a --sitemap or a --file")
	case len(a.options.Addresses) > 0 && len(hosts) > 1:
		return errors.New("with --address all URLs have to have one host")
	case len(a.urls) > limit:
		a.leftOut += len(a.urls) - limit
		a.urls = a.urls[:limit]
	}
	return nil
}

func (a *asked) write(out io.Writer, result *audit.Report) (err error) {
	if a.page != nil {
		if err = a.writePage(result); err != nil {
			return err
		}
	}
	if a.json {
		return report.JSON(out, result, a.leftOut)
	}
	return report.Text(out, result, a.leftOut, coloured(out))
}

// writePage puts the page in the place of what was in the file.
func (a *asked) writePage(result *audit.Report) error {
	err := a.page.Truncate(0)
	if err == nil {
		err = report.HTML(a.page, result, a.leftOut, time.Now().Format("2 January 2006, 15:04"))
	}
	return errors.Join(err, a.page.Close())
}
