package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rangeRow is a line of testdata/judges/ranges.jsonl: what has to come of one Range of a file of numbers. The rows are what the
// test suites of Apache (byterange5 to byterange7) and nginx (range) ask of their servers, as far as RFC 9110 asks it, too.
type rangeRow struct {
	ID     string  `json:"id"`
	Range  string  `json:"range"`
	Status int     `json:"status"`
	Ranges [][]int `json:"ranges"` // first and last byte of each; how they are ordered or joined is the server's choice
	RFC    string  `json:"rfc"`
	Level  string  `json:"level"`
	Note   string  `json:"note"`
}

// minRangeRows keeps a broken reader from passing by finding next to nothing.
const minRangeRows = 45

// apacheRangeRows are those at the beginning that make up byterange7.
const apacheRangeRows = 24

// readRows reads a JSONL file and refuses keys that it does not know.
func readRows[T any](t *testing.T, path string, least int) (rows []T) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, len(data)+1)
	for line := 1; scanner.Scan(); line++ {
		var row T
		if err := unmarshalStrict(scanner.Bytes(), &row); err != nil {
			t.Fatalf("%s:%d: %v", path, line, err)
		}
		rows = append(rows, row)
	}
	if len(rows) < least {
		t.Fatalf("%s: %d rows, want at least %d", path, len(rows), least)
	}
	return rows
}

// numbers are 40,000 bytes, of which no two neighbourhoods are alike.
func numbers() string {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.String()
}

// TestRangesOfFiles: of a file, and of a page that comes from an upstream that knows no ranges, the parts come that were asked for.
// Caddy's file_server has its own view of invalid and of many ranges; with this module in front every row holds.
func TestRangesOfFiles(t *testing.T) {
	rows := readRows[rangeRow](t, "testdata/judges/ranges.jsonl", minRangeRows)
	o := startOrigin(t)
	body := numbers()
	o.answer("numbers", originAnswer{Status: 200, Headers: headerLines{"Content-Type": {"text/plain"}, "ETag": {`"numbers"`}}, Body: body})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "numbers.txt"), []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	files := "rewrite * /numbers.txt\nroot " + dir + "\nfile_server"
	ours := "conditional_cache {\nranges on {\nmax 100\n}\n}\n"
	for name, directives := range map[string]string{
		"Caddy alone": files,
		"file_server": ours + files,
		"upstream":    ours + "reverse_proxy " + o.addr(),
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("http://:%d {\nbind 127.0.0.1\n%s\n}", port, directives))
			passed := 0
			for i, row := range rows {
				found := row.ask(t, port, body)
				if len(found) == 0 && i < apacheRangeRows {
					passed++
				}
				for _, problem := range found {
					if name == "Caddy alone" {
						t.Logf("%s: %s", row.ID, problem)
					} else {
						t.Errorf("%s (RFC %s, %s; %s): %s", row.ID, row.RFC, row.Level, row.Note, problem)
					}
				}
			}
			t.Logf("byterange7: %d of %d", passed, apacheRangeRows)
		})
	}
}

// ask sends the request of a row and says what is wrong with the answer.
func (row rangeRow) ask(t *testing.T, port int, body string) (found problems) {
	t.Helper()
	client, err := dialCase(port)
	if err != nil {
		t.Fatal(err)
	}
	defer client.close()
	request := caseRequest{Method: http.MethodGet, Headers: headerLines{"Range": {row.Range}}}
	response, err := client.send(request, "numbers")
	if err != nil {
		found.addf("%v", err)
		return found
	}
	x := &exchange{origin: originAnswer{Status: http.StatusOK, Body: body}, request: request, response: response}
	length := response.fields.lines("Content-Length")
	switch {
	case response.status != row.Status:
		found.addf("got %d, want %d", response.status, row.Status)
	case response.incomplete || !slices.Equal(length, []string{strconv.Itoa(len(response.body))}):
		found.addf("%d bytes come, of %q", len(response.body), length)
	case row.Status == http.StatusPartialContent:
		checkRanges(&found, x, row.Ranges)
	case row.Status == http.StatusOK:
		checkWhole(&found, x)
	case !slices.Equal(response.fields.lines("Content-Range"), []string{"bytes */" + strconv.Itoa(len(body))}):
		found.addf("the 416 has Content-Range %q", response.fields.lines("Content-Range"))
	}
	return found
}
