package truth

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Fields by which a client and the upstream tell each other what the model has to know. Caddy passes them on.
const (
	StampField = "X-Soak"       // of the upstream's answers: whose page it is, and which version
	IDField    = "X-Soak-Id"    // of requests
	ByField    = "X-Soak-By"    // of answers: outcome and reason, as the handler tells them
	FaultField = "X-Soak-Fault" // of the upstream's errors
)

// firstDate is that of version 0. Each version is dated a minute later than the one before, whenever it was made: so a date
// tells versions apart, as a date of a second's resolution would not.
var firstDate = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// Date is the Last-Modified of a version.
func Date(version int) time.Time { return firstDate.Add(time.Duration(version) * time.Minute) }

// DateText is Date as HTTP writes it.
func DateText(version int) string { return Date(version).Format(http.TimeFormat) }

// versionOf is the version that has a date.
func versionOf(date string) (n int, ok bool) {
	t, err := time.Parse(http.TimeFormat, date)
	if err != nil || t.Before(firstDate) {
		return 0, false
	}
	return int(t.Sub(firstDate) / time.Minute), true
}

// Stamp is what StampField says of a version.
func (p *Page) Stamp(n int) string { return fmt.Sprintf("%s %d", p.user(), n) }

func (p *Page) user() string {
	if p.User == "" {
		return "-"
	}
	return p.User
}

// Tag is the upstream's entity tag of a version.
func (p *Page) Tag(n int) string {
	tag := fmt.Sprintf("%q", fmt.Sprintf("%s/%d", p.user(), n))
	if p.Place.Style.Weak {
		return "W/" + tag
	}
	return tag
}

// Text is the content of a version; of a form, the one without token and nonce.
func (p *Page) Text(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.textAt(n)
}

func (p *Page) textAt(n int) string {
	if p.textOf != n {
		p.text, p.textOf = p.makeText(n), n
	}
	return p.text
}

const (
	formLine     = `<form><input type="hidden" name="csrfmiddlewaretoken" value=""></form><script nonce="">1</script>`
	templateLine = "6 times 7 is 42\n"
	templateCode = "6 times 7 is {{mul 6 7}}\n"
)

// makeText is a line that says what it is, and lines with numbers, of which no two are the same.
func (p *Page) makeText(n int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "soak %s%s %s %d\n", p.Place.Site.Name, p.Place.Path, p.user(), n)
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(text.String()))
	if p.Place.Style.Form {
		text.WriteString(formLine + "\n")
	}
	if p.Place.Style.Template {
		text.WriteString(templateLine)
	}
	lines := 1 + int(sum.Sum64()%40)
	if p.Place.Style.Long {
		lines = 1000 + int(sum.Sum64()%1000)
	}
	for i := range lines {
		fmt.Fprintf(&text, "%06d %016x %s\n", i, sum.Sum64(), padding)
	}
	return text.String()
}

const padding = "..............................................................................."

// OnDisk is the text of a template before it is made a page.
func OnDisk(text string) string { return strings.Replace(text, templateLine, templateCode, 1) }

// letters are those of Django's tokens.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

const secretLength = 32

// secretOf is what a user's tokens have under their mask.
func secretOf(user string) string {
	return (strings.Repeat(user, secretLength) + strings.Repeat("g", secretLength))[:secretLength]
}

// WithToken is a form as it goes out: with a token that is masked anew, and a nonce.
func (p *Page) WithToken(text, nonce string) string {
	secret := secretOf(p.User)
	mask, masked := make([]byte, secretLength), make([]byte, secretLength)
	for i := range mask {
		mask[i] = letters[rand.IntN(len(letters))]
		masked[i] = letters[(strings.IndexByte(letters, secret[i])+strings.IndexByte(letters, mask[i]))%len(letters)]
	}
	return strings.NewReplacer(`value=""`, fmt.Sprintf("value=%q", string(mask)+string(masked)), `nonce=""`, fmt.Sprintf("nonce=%q", nonce)).Replace(text)
}

var tokenOrNonce = regexp.MustCompile(`(value|nonce)="(\w*)"`)

// withoutToken takes token and nonce out of a form; ok is false if the token is not the user's.
func (p *Page) withoutToken(body string) (text string, ok bool) {
	for _, found := range tokenOrNonce.FindAllStringSubmatch(body, 2) {
		if found[1] == "value" {
			ok = unmask(found[2]) == secretOf(p.User)
		}
	}
	return tokenOrNonce.ReplaceAllString(body, `$1=""`), ok
}

func unmask(token string) string {
	if len(token) != 2*secretLength {
		return ""
	}
	secret := make([]byte, secretLength)
	for i := range secret {
		at := strings.IndexByte(letters, token[secretLength+i]) - strings.IndexByte(letters, token[i])
		secret[i] = letters[(at+len(letters))%len(letters)]
	}
	return string(secret)
}

// readStamp reads the first line of a content.
func readStamp(body string) (site, user string, n int, ok bool) {
	line, _, found := strings.Cut(body, "\n")
	if !found {
		return "", "", 0, false
	}
	count, err := fmt.Sscanf(line, "soak %s %s %d", &site, &user, &n)
	return site, user, n, err == nil && count == 3
}
