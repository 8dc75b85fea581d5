package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What makes the pages easy to read, as far as it can be counted.

const (
	longestReadme   = 150 // lines
	longestPage     = 250
	longestSentence = 35 // words
)

// templateHeadings stand in this order on each page about a feature, and on each guide.
var templateHeadings = []string{"Smallest example", "Options", "See it work", "Traps", "Limits"}

// featurePages are those that follow the template, besides the guides.
var featurePages = []string{
	"docs/entity-tags.md", "docs/tokens.md", "docs/last-modified.md", "docs/cache-control.md", "docs/ranges.md", "docs/writes.md",
	"docs/remember.md", "docs/redis.md", "docs/metrics.md", "docs/admin-api.md",
}

// plainPages are read for their sentences as featurePages are, and have headings of their own.
var plainPages = []string{"docs/scaling.md", "docs/security.md", "docs/conformance.md", "docs/conformance-9110.md", "docs/conformance-9111.md"}

// docPages are the pages of documentation, from the root of the repository.
func docPages(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "xcaddy.md", "CHANGELOG.md"}
	for _, root := range []string{"docs", ".github"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Ext(path) == ".md" {
				pages = append(pages, filepath.ToSlash(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(pages) < 20 {
		t.Fatalf("%d pages: does this test still look in the right place?", len(pages))
	}
	return pages
}

func isGuide(page string) bool { return strings.HasPrefix(page, "docs/guides/") }

// TestPagesAreShort: who opens a page sees its end.
func TestPagesAreShort(t *testing.T) {
	t.Chdir("..")
	for _, page := range docPages(t) {
		longest := longestPage
		if page == "README.md" {
			longest = longestReadme
		}
		if lines := strings.Count(readDoc(t, page), "\n"); lines > longest {
			t.Errorf("%s has %d lines, which is more than %d", page, lines, longest)
		}
	}
}

// TestPagesBeginAlike: a title, and then what the page is for.
func TestPagesBeginAlike(t *testing.T) {
	t.Chdir("..")
	begins := regexp.MustCompile("^# [^\n]+\n\n[A-Z*`\\[]")
	for _, page := range docPages(t) {
		if !strings.HasPrefix(page, ".github/") && !begins.MatchString(readDoc(t, page)) {
			t.Errorf("%s does not begin with a title and a sentence", page)
		}
	}
}

// TestPagesHaveTheTemplate: what is looked for is in the same place on each page of its kind.
func TestPagesHaveTheTemplate(t *testing.T) {
	t.Chdir("..")
	pages := docPages(t)
	for _, page := range featurePages {
		if !slices.Contains(pages, page) {
			t.Errorf("%s is not there", page)
		}
	}
	for _, page := range pages {
		if !isGuide(page) && !slices.Contains(featurePages, page) {
			continue
		}
		text, at := withoutCode(readDoc(t, page)), 0
		for _, heading := range templateHeadings {
			i := strings.Index(text[at:], "\n## "+heading+"\n")
			if i < 0 {
				t.Errorf("%s has no heading %q, or not in the order of %q", page, heading, templateHeadings)
				break
			}
			at += i
		}
	}
}

// withoutCode is a page without its fenced blocks.
func withoutCode(page string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(page, "")
}

var (
	docTarget   = regexp.MustCompile(`\]\([^)]*\)`)
	docSpan     = regexp.MustCompile("`[^`\n]*`")
	docItem     = regexp.MustCompile(`(?m)^ *([-*]|\d+\.) `)
	docSentence = regexp.MustCompile(`[.!?:](?:\s+|$)|\s*\|\s*|\n\n+`)
)

// sentencesOf are those of a page's text. A code span counts as a word, a list's item and a table's cell begin a new one.
func sentencesOf(page string) []string {
	text := withoutCode(page)
	text = docTarget.ReplaceAllString(text, "]")
	text = docSpan.ReplaceAllString(text, "code")
	text = docItem.ReplaceAllString(text, "\n\n")
	return docSentence.Split(text, -1)
}

// TestSentencesAreShort: of the pages that a newcomer reads first, and of those that are read with a question.
func TestSentencesAreShort(t *testing.T) {
	t.Chdir("..")
	seen := 0
	for _, page := range docPages(t) {
		if page != "README.md" && !isGuide(page) && !slices.Contains(slices.Concat(featurePages, plainPages), page) {
			continue
		}
		for _, sentence := range sentencesOf(readDoc(t, page)) {
			words := strings.Fields(sentence)
			if seen++; len(words) > longestSentence {
				t.Errorf("%s: a sentence of %d words: %s", page, len(words), strings.Join(words, " "))
			}
		}
	}
	if seen < 200 {
		t.Errorf("%d sentences: does this test still read them?", seen)
	}
}

// TestSentencesAreCounted: the count is that of a reader.
func TestSentencesAreCounted(t *testing.T) {
	got := sentencesOf("# A title\n\nOne `two three` [four](five/six.md). And `a.b` five\nmore words!\n\n* An item\n* another: it is\n\n| a cell | b |\n\n```\nnot. this\n```\n")
	var words []int
	for _, sentence := range got {
		if n := len(strings.Fields(sentence)); n > 0 {
			words = append(words, n)
		}
	}
	if want := []int{3, 3, 5, 2, 1, 2, 2, 1}; !slices.Equal(words, want) {
		t.Errorf("%v words, want %v: %q", words, want, got)
	}
}

var docLink = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)

// TestDocsLinks: files and headings that the pages link to are there.
func TestDocsLinks(t *testing.T) {
	t.Chdir("..")
	for _, page := range docPages(t) {
		for _, found := range docLink.FindAllStringSubmatch(withoutCode(readDoc(t, page)), -1) {
			target := page
			if found[1] != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), found[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if found[2] != "" && !slices.Contains(anchorsOf(readDoc(t, target)), found[2]) {
				t.Errorf("%s: %s has no heading %s", page, target, found[2])
			}
		}
	}
}

// anchorsOf are what the headings of a page are called in links.
func anchorsOf(page string) (anchors []string) {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutCode(page), -1) {
		name := drop.ReplaceAllString(strings.ToLower(docTarget.ReplaceAllString(heading[1], "")), "")
		anchors = append(anchors, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return anchors
}

// TestReadmeLeadsEverywhere: each page is linked from README.md, or from one that is.
func TestReadmeLeadsEverywhere(t *testing.T) {
	t.Chdir("..")
	reached, next := map[string]bool{}, []string{"README.md"}
	for len(next) > 0 {
		page := next[0]
		next = next[1:]
		if reached[page] || filepath.Ext(page) != ".md" {
			continue
		}
		reached[page] = true
		for _, found := range docLink.FindAllStringSubmatch(readDoc(t, page), -1) {
			if found[1] != "" {
				next = append(next, filepath.ToSlash(filepath.Join(filepath.Dir(page), found[1])))
			}
		}
	}
	for _, page := range docPages(t) {
		if !reached[page] && !strings.HasPrefix(page, ".github/") {
			t.Errorf("%s: no link leads there", page)
		}
	}
}

// TestPicturesAreShown: each picture is on a page, but for the demonstration's other looks.
func TestPicturesAreShown(t *testing.T) {
	t.Chdir("..")
	var text strings.Builder
	for _, page := range docPages(t) {
		text.WriteString(readDoc(t, page))
	}
	pictures, err := filepath.Glob("docs/images/*")
	if err != nil || len(pictures) < 5 {
		t.Fatalf("%d pictures, %v", len(pictures), err)
	}
	for _, picture := range pictures {
		name := filepath.Base(picture)
		if other := name == "demo-dark.png" || name == "demo-phone.png"; !other && !strings.Contains(text.String(), "images/"+name+")") {
			t.Errorf("no page shows %s", picture)
		}
	}
}
