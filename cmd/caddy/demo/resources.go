package demo

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// page is what one response is made of.
type page struct {
	name string
	version
	secret string
}

// resources are what there is, by the last segment of the path.
var resources = map[string]func(http.ResponseWriter, *page) error{
	"slow":        slow,
	"chunked":     chunked,
	"data.json":   data,
	"form":        form,
	"nonce":       nonce,
	"clock":       clock,
	"account":     account,
	"picture.png": picture,
	"table.csv":   table,
	"tune.wav":    tune,
}

// rendering is how long the slow page takes.
const rendering = 150 * time.Millisecond

// published is when what has a date was made, unless it was changed since.
var published = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// slow is what most applications do: a page from a database, of a known length, without any validator.
func slow(w http.ResponseWriter, p *page) error {
	<-time.After(rendering)
	return p.write(w, "text/html; charset=utf-8", p.html("A page that takes its time", p.text(5000)))
}

// chunked is sent in pieces, and its length is not known before its end.
func chunked(w http.ResponseWriter, p *page) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	controller := http.NewResponseController(w)
	if _, err := io.WriteString(w, p.html("A page in pieces", "")); err != nil {
		return err
	}
	for line := range strings.Lines(p.text(4000)) {
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
		if err := controller.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// data is the answer of an API.
func data(w http.ResponseWriter, p *page) error {
	type item struct {
		ID    int     `json:"id"`
		Name  string  `json:"name"`
		Price float64 `json:"price"`
	}
	words := p.words()
	items := make([]item, 600)
	for i := range items {
		items[i] = item{i + 1, words() + " " + words(), float64(len(words())*100+i) / 100}
	}
	text, err := json.Marshal(map[string]any{"version": p.number, "items": items})
	if err != nil {
		return err
	}
	return p.write(w, "application/json", string(text))
}

// form has the token of a framework, which is masked anew each time, as Django does.
func form(w http.ResponseWriter, p *page) error {
	body := `<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="` + masked(p.secret) + `">
<label>Say something <input name="said"></label> <button>Send</button></form>
` + p.text(3000)
	return p.write(w, "text/html; charset=utf-8", p.html("A page with a form", body))
}

// nonce has a script that its policy allows by a nonce, another one each time.
func nonce(w http.ResponseWriter, p *page) error {
	once := letters(20)
	w.Header().Set("Content-Security-Policy", "script-src 'nonce-"+once+"'")
	body := `<script nonce="` + once + `">document.title += ' (its script ran)'</script>
` + p.text(3000)
	return p.write(w, "text/html; charset=utf-8", p.html("A page with a nonce", body))
}

// clock is another page each time, and nothing can be done about it.
func clock(w http.ResponseWriter, p *page) error {
	body := "<p>It is " + time.Now().UTC().Format("15:04:05.000000 MST") + ".</p>\n" + p.text(3000)
	return p.write(w, "text/html; charset=utf-8", p.html("A page with the time", body))
}

// account is a page that its upstream forbids everybody to store.
func account(w http.ResponseWriter, p *page) error {
	w.Header().Set("Cache-Control", "no-store")
	return p.write(w, "text/html; charset=utf-8", p.html("An account", p.text(3000)))
}

// table has a tag of the upstream's own, which the upstream itself does not compare.
func table(w http.ResponseWriter, p *page) error {
	words := p.words()
	var rows strings.Builder
	rows.WriteString("word,letters\n")
	for range 2000 {
		word := words()
		fmt.Fprintf(&rows, "%s,%d\n", word, len(word))
	}
	w.Header().Set("Etag", fmt.Sprintf(`"table-%d"`, p.number))
	return p.write(w, "text/csv; charset=utf-8", rows.String())
}

// write sends a body of a known length.
func (p *page) write(w http.ResponseWriter, mediaType, body string) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, err := io.WriteString(w, body)
	return err
}

func (p *page) html(title, body string) string {
	return fmt.Sprintf(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>%[1]s</title>
<link rel="stylesheet" href="/assets/site.css">
<h1>%[1]s</h1>
<p>Edition %[2]d.</p>
%[3]s`, title, p.number+1, body)
}

// date is the resource's Last-Modified.
func (p *page) date() string {
	if p.changed.IsZero() {
		return published.Format(http.TimeFormat)
	}
	return p.changed.UTC().Format(http.TimeFormat)
}

// chance gives the same numbers for the same version.
func (p *page) chance() *mathrand.Rand {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, p.name)
	return mathrand.New(mathrand.NewPCG(hash.Sum64(), p.number)) //nolint:gosec // texts, not secrets
}

// text is made of paragraphs of made-up words.
func (p *page) text(count int) string {
	next := p.words()
	var text strings.Builder
	for i := range count {
		switch i % 60 {
		case 0:
			text.WriteString("<p>")
		default:
			text.WriteByte(' ')
		}
		text.WriteString(next())
		if i%60 == 59 || i == count-1 {
			text.WriteString(".</p>\n")
		}
	}
	return text.String()
}

// words returns a function that makes one up.
func (p *page) words() func() string {
	syllables := strings.Fields("ba co di fe gu la mo ni pe ra sa to vu ze lin mar non pol ren sul tan")
	chance := p.chance()
	return func() string {
		var word strings.Builder
		for range 1 + chance.IntN(3) {
			word.WriteString(syllables[chance.IntN(len(syllables))])
		}
		return word.String()
	}
}

// alphabet and tokenLength are Django's (django/middleware/csrf.py).
const (
	alphabet    = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	tokenLength = 32
)

// letters are random.
func letters(count int) string {
	var text string
	for len(text) < count {
		text += rand.Text()
	}
	return text[:count]
}

// masked is a mask, and the secret under it.
func masked(secret string) string {
	mask := letters(tokenLength)
	token := []byte(mask)
	for i := range secret {
		at := strings.IndexByte(alphabet, secret[i]) + strings.IndexByte(alphabet, mask[i])
		token = append(token, alphabet[at%len(alphabet)])
	}
	return string(token)
}
