package audit

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Cookie is a line of a cookie file.
type Cookie struct {
	// Host is the host it is for, and Hosts tells whether those under it as well.
	Host  string
	Hosts bool
	Path  string
	// Secure: for https only.
	Secure bool
	// Expires is zero for a cookie of the session.
	Expires     time.Time
	Name, Value string
}

// ReadCookies reads a cookie file of the form that Netscape had and that curl writes: seven fields a line, with tabs
// between them. Comments begin with #, but #HttpOnly_ begins a cookie.
func ReadCookies(r io.Reader) (all []Cookie, err error) {
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line, httpOnly := strings.CutPrefix(strings.TrimRight(lines.Text(), "\r"), "#HttpOnly_")
		if strings.TrimSpace(line) == "" || !httpOnly && strings.HasPrefix(line, "#") {
			continue
		}
		c, err := readCookie(line)
		if err != nil {
			// Not the line itself: it may hold what is secret.
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, c)
	}
	return all, lines.Err()
}

func readCookie(line string) (c Cookie, err error) {
	fields := strings.Split(line, "\t")
	if len(fields) == 6 { // an empty value, whose tab an editor has taken off
		fields = append(fields, "")
	}
	if len(fields) != 7 {
		return c, fmt.Errorf("%d fields with tabs between them, not 7; a cookie file has domain, subdomains, path, secure, expiry, name and value", len(fields))
	}
	seconds, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil {
		return c, fmt.Errorf("the fifth field, the expiry, is no number of seconds")
	}
	c = Cookie{
		Host: strings.TrimPrefix(fields[0], "."), Hosts: strings.EqualFold(fields[1], "TRUE"), Path: fields[2],
		Secure: strings.EqualFold(fields[3], "TRUE"), Name: fields[5], Value: fields[6],
	}
	if seconds > 0 {
		c.Expires = time.Unix(seconds, 0)
	}
	if c.Host == "" || c.Name == "" {
		return c, fmt.Errorf("a cookie without a domain or a name")
	}
	return c, nil
}

// putInto puts a cookie into a jar, as if its host had set it. Those that have run out are not taken.
func (c *Cookie) putInto(jar http.CookieJar) {
	cookie := &http.Cookie{Name: c.Name, Value: c.Value, Path: c.Path, Secure: c.Secure, Expires: c.Expires} //nolint:gosec // G124: it is as its server has set it
	if c.Hosts {
		cookie.Domain = c.Host
	}
	jar.SetCookies(&url.URL{Scheme: "https", Host: c.Host, Path: "/"}, []*http.Cookie{cookie})
}
