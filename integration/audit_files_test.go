package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/audit"
)

// TestAuditCuresFilesByALine: file_server makes its own 304, which a line of cache_control leaves without its fields. What is
// offered is that line with existing replace: no content is read, and the tag stays that of file_server.
func TestAuditCuresFilesByALine(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, map[string]string{filepath.Join(dir, "static", "site.css"): strings.Repeat("p { margin: 0 }\n", 40)})
	const offered = "cache_control /static/site.css max-age=2592000 {\n\texisting replace\n}"
	lines := []string{"cache_control /static/* max-age=30d", offered, "cache_control /static/* max-age=30d {\n\texisting replace\n}"}
	ports, sites := make([]int, len(lines)), ""
	for i, line := range lines {
		ports[i] = freePort(t)
		sites += fmt.Sprintf("http://localhost:%d {\nroot %s\nconditional_cache {\n%s\n}\nfile_server\n}\n", ports[i], dir, line)
	}
	runCaddy(t, sites)
	for i, line := range lines {
		var cures []string
		for _, f := range findings(t, audit.Options{}, fmt.Sprintf("http://localhost:%d/static/site.css", ports[i])) {
			if f.Kind.Severity() != audit.Note {
				cures = append(cures, f.Cure.Lines)
			}
		}
		if i == 0 && (len(cures) != 1 || cures[0] != offered) || i > 0 && cures != nil {
			t.Errorf("%s: %q", line, cures)
		}
		tag := plainClient(t, ports[i]).must(t, http.StatusOK, http.MethodGet, "/static/site.css", "").header.Get("Etag")
		if tag == "" || strings.Contains(tag, "cc1.") {
			t.Errorf("%s: the tag is %s", line, tag)
		}
	}
}
