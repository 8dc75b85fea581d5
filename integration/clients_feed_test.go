package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// feedReaders keep the articles of a feed.
var feedReaders = []returning{
	// newsboat writes down the validator of a feed that it knows, and knows it after the first time.
	{name: "newsboat", field: "If-None-Match", path: feedPath, files: feed, shows: articlesOf, start: startNewsboat, learns: 1},
	{name: "newsboat, feed with a date", field: "If-Modified-Since", path: feedPath, files: feed, shows: articlesOf, start: startNewsboat, learns: 1},
	{name: "feedparser", field: "If-None-Match", path: feedPath, files: feed, shows: articlesOf, start: startFeedparser},
	{name: "feedparser, feed with a date", field: "If-Modified-Since", path: feedPath, files: feed, shows: articlesOf, start: startFeedparser},
}

// TestFeedReaders: readers of feeds get a 304 as long as nothing has changed, though the upstream makes none, and with remember it is not even
// asked.
func TestFeedReaders(t *testing.T) { checkAll(t, feedReaders) }

const feedPath = "/feed.xml"

// feed is a feed with so many articles.
func feed(articles int) map[string]string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>http://localhost/</link><description>All</description>`)
	for i := range articles {
		date := lastDeploy.AddDate(0, 0, i).Format(time.RFC1123Z)
		fmt.Fprintf(&b, "\n<item><title>%d</title><guid>http://localhost/%[1]d</guid><link>http://localhost/%[1]d</link><pubDate>%s</pubDate><description>%s</description></item>",
			i, date, articleText(i))
	}
	b.WriteString("</channel></rss>\n")
	return map[string]string{feedPath: b.String()}
}

func articleText(i int) string {
	return fmt.Sprintf("Article %d. ", i) + strings.Repeat("News. ", 200) + "Grüße."
}

// articlesOf are the texts of a feed with so many articles.
func articlesOf(articles int) string {
	var texts []string
	for i := range articles {
		texts = append(texts, articleText(i))
	}
	return strings.Join(texts, "\n")
}

func startNewsboat(t *testing.T, base string) (load func() string) {
	t.Helper()
	newsboat, dir := program(t, "newsboat"), t.TempDir()
	urls, config, cache := filepath.Join(dir, "urls"), filepath.Join(dir, "config"), filepath.Join(dir, "cache.db")
	for path, text := range map[string]string{urls: base + feedPath + "\n", config: "use-proxy no\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func() string {
		cmd := exec.CommandContext(t.Context(), newsboat, "-u", urls, "-C", config, "-c", cache, "-x", "reload")
		cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8") // it makes a folder there
		run(t, cmd)
		return run(t, exec.CommandContext(t.Context(), python, "testdata/clients/newsboat.py", cache))
	}
}

func startFeedparser(t *testing.T, base string) (load func() string) {
	t.Helper()
	check := exec.CommandContext(t.Context(), python, "-c", "import feedparser")
	requireProgram(t, check.Run() == nil, "feedparser for "+python)
	state := filepath.Join(t.TempDir(), "state.json")
	return func() string {
		cmd := exec.CommandContext(t.Context(), python, "testdata/clients/feed.py", base+feedPath, state)
		cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
		return run(t, cmd)
	}
}
