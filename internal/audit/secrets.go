package audit

import (
	"bytes"
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// shortestSecret is the length from which on a text is taken for one. A cookie `theme=1` is none.
const shortestSecret = 4

// hidden stands for a secret.
const hidden = "[hidden]"

// secrets are what the user has given, in the forms in which a server may send it back.
type secrets struct {
	forms    []string
	replacer *strings.Replacer
}

func newSecrets(o *Options) *secrets {
	s := new(secrets)
	for _, values := range o.Header {
		for _, value := range values {
			s.add(value)
			// What stands behind a scheme of Authorization is one by itself, and the parts of Basic are.
			if _, credentials, ok := strings.Cut(value, " "); ok {
				s.add(credentials)
				plain, _ := base64.StdEncoding.DecodeString(credentials)
				user, password, _ := strings.Cut(string(plain), ":")
				s.add(string(plain))
				s.add(user)
				s.add(password)
			}
			for pair := range strings.SplitSeq(value, ";") {
				_, part, _ := strings.Cut(pair, "=")
				s.add(strings.TrimSpace(part))
			}
		}
	}
	for i := range o.Cookies {
		s.add(o.Cookies[i].Value)
	}
	var pairs []string
	for _, form := range s.forms {
		pairs = append(pairs, form, hidden)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

func (s *secrets) add(value string) {
	if len(value) < shortestSecret {
		return
	}
	s.forms = append(s.forms, value)
	for _, form := range [...]string{html.EscapeString(value), url.QueryEscape(value), url.PathEscape(value), regexp.QuoteMeta(value)} {
		if form != value {
			s.forms = append(s.forms, form)
		}
	}
}

// in reports whether a body has a secret in it. Of such a body nothing is shown, as a part that is cut out may have only
// a part of the secret in it.
func (s *secrets) in(body []byte) bool {
	for _, form := range s.forms {
		if bytes.Contains(body, []byte(form)) {
			return true
		}
	}
	return false
}

// hide takes the secrets out of a text.
func (s *secrets) hide(text string) string {
	text = strings.ToValidUTF8(s.replacer.Replace(text), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' ' // a server does not get to steer the terminal
		}
		return r
	}, text)
}

// line is hide for one line of a length that can be read.
func (s *secrets) line(text string) string {
	const longest = 300
	text = strings.Join(strings.Fields(s.hide(text)), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
