package ignore

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// source is randomness that is the same in every run.
type source struct{ *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 1))} }

func (s source) bytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.IntN(256))
	}
	return string(b)
}

// of returns n characters out of an alphabet.
func (s source) of(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[s.IntN(len(alphabet))]
	}
	return string(b)
}

const lettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func xor(a, b string) string {
	c := make([]byte, len(a))
	for i := range c {
		c[i] = a[i] ^ b[i]
	}
	return string(c)
}

// The frameworks' own algorithms, written down from their sources: a secret of a session, and a token of it for one
// answer.

func djangoSecret(s source) string { return s.of(lettersAndDigits, 32) }

func djangoToken(s source, secret string) string {
	mask, cipher := s.of(lettersAndDigits, 32), ""
	for i := range 32 {
		sum := strings.IndexByte(lettersAndDigits, secret[i]) + strings.IndexByte(lettersAndDigits, mask[i])
		cipher += lettersAndDigits[sum%62 : sum%62+1]
	}
	return mask + cipher
}

func railsSecret(s source) string { return s.bytes(32) }

func railsToken(s source, secret string) string {
	pad := s.bytes(32)
	return base64.RawURLEncoding.EncodeToString([]byte(pad + xor(pad, secret)))
}

// railsOldToken is what Rails wrote before it took to the URL-safe alphabet.
func railsOldToken(s source, secret string) string {
	pad := s.bytes(32)
	return base64.StdEncoding.EncodeToString([]byte(pad + xor(pad, secret)))
}

func springSecret(s source) string {
	hex := s.of("0123456789abcdef", 32)
	return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
}

func springToken(s source, secret string) string {
	random := s.bytes(36)
	return base64.URLEncoding.EncodeToString([]byte(random + xor(random, secret)))
}

func phoenixSecret(s source) string { return base64.URLEncoding.EncodeToString([]byte(s.bytes(18))) }

func phoenixToken(s source, secret string) string {
	mask := phoenixSecret(s)
	return base64.URLEncoding.EncodeToString([]byte(xor(secret, mask))) + mask
}

func symfonySecret(s source) string { return base64.RawURLEncoding.EncodeToString([]byte(s.bytes(32))) }

func symfonyToken(s source, secret string) string {
	key := s.bytes(32)
	hash := s.of("0123456789abcdef", 1+int(key[0])%32)
	coding := base64.RawURLEncoding
	return hash + "." + coding.EncodeToString([]byte(key)) + "." + coding.EncodeToString([]byte(xor(secret, key+key)))
}

// Of Plug before 1.5.

func phoenixOldSecret(s source) string { return base64.StdEncoding.EncodeToString([]byte(s.bytes(16))) }

func phoenixOldToken(s source, secret string) string {
	mask := phoenixOldSecret(s)
	return base64.StdEncoding.EncodeToString([]byte(xor(secret, mask))) + mask
}

// aspNetToken is as long as one of ASP.NET Core, and as unintelligible.
func aspNetToken(s source, _ string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("\x09\xF0\xC9\xF0" + s.bytes(112)))
}

// framework is one whose tokens are masked.
type framework struct {
	name   string
	field  string // of its hidden input
	secret func(source) string
	token  func(source, string) string
}

var masking = []framework{
	{"django", "csrfmiddlewaretoken", djangoSecret, djangoToken},
	{"rails", "authenticity_token", railsSecret, railsToken},
	{"rails", "authenticity_token", railsSecret, railsOldToken},
	{"spring", "_csrf", springSecret, springToken},
	{"phoenix", "_csrf_token", phoenixSecret, phoenixToken},
	{"phoenix", "_csrf_token", phoenixOldSecret, phoenixOldToken},
	{"symfony", "contact[_token]", symfonySecret, symfonyToken},
}

func fixture(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + name + ".html")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// filled puts a token of its own into each place of a page.
func filled(page string, token func() string) string {
	for strings.Contains(page, "{token}") {
		page = strings.Replace(page, "{token}", token(), 1)
	}
	return page
}

// However often one secret is masked, the page is one; another secret makes another page, and so does one visible letter.
func TestMaskedTokens(t *testing.T) {
	for i, f := range masking {
		t.Run(fmt.Sprint(f.name, i), func(t *testing.T) {
			s, page := newSource(1), fixture(t, f.name)
			secret := f.secret(s)
			render := func(secret string) string {
				return formOf(t, filled(page, func() string { return f.token(s, secret) }), "csrf")
			}
			want := render(secret)
			again, others := make(map[string]bool), map[string]bool{want: true}
			for range 1000 {
				again[render(secret)] = true
				others[render(f.secret(s))] = true
			}
			if len(again) != 1 || !again[want] {
				t.Errorf("masked again, the page counts as %d others", len(again))
			}
			if len(others) != 1001 {
				t.Errorf("1001 secrets, and %d forms of the page", len(others))
			}
			page = strings.Replace(page, "<title>", "<title>!", 1)
			if render(secret) == want {
				t.Error("a visible letter does not count")
			}
			if strings.Count(want, secret) != strings.Count(page, "{token}") {
				t.Errorf("the secret counts %d times, want once for each of %d tokens", strings.Count(want, secret), strings.Count(page, "{token}"))
			}
		})
	}
}

// A secret that differs in one place only, or whose halves are moved about, is another one.
func TestEveryPartOfTheSecretCounts(t *testing.T) {
	for _, f := range masking {
		s := newSource(2)
		secret := f.secret(s)
		form := func(secret string) string {
			return formOf(t, `<input type=hidden name=`+f.field+` value="`+f.token(s, secret)+`">`, "csrf")
		}
		want := form(secret)
		if form(secret) != want {
			t.Errorf("%s: masked again, it is another one", f.name)
		}
		for i := range secret {
			if secret[i] == '-' || secret[i] == '=' {
				continue // of a UUID and of base64: no part of the secret
			}
			replaced := byte('0')
			if secret[i] == replaced {
				replaced = '1'
			}
			if form(secret[:i]+string(replaced)+secret[i+1:]) == want {
				t.Errorf("%s: place %d does not count", f.name, i)
			}
		}
	}
}

// Laravel's token is the session's, and never masked: it counts as it is.
func TestLaravelTokenCountsAsItIs(t *testing.T) {
	s := newSource(3)
	token := s.of(lettersAndDigits, 40)
	page := filled(fixture(t, "laravel"), func() string { return token })
	if got := formOf(t, page, "csrf"); got != page {
		t.Errorf("the page counts as %q", got)
	}
}

// A field's value that is not in the field's format counts as it is: nothing is left out that is not understood.
func TestNotAToken(t *testing.T) { //nolint:funlen // a table
	s := newSource(4)
	django, rails := djangoToken(s, djangoSecret(s)), railsToken(s, railsSecret(s))
	spring, phoenix := springToken(s, springSecret(s)), phoenixToken(s, phoenixSecret(s))
	symfony := symfonyToken(s, symfonySecret(s))
	hash, _, _ := strings.Cut(symfony, ".")
	protected := aspNetToken(s, "")
	for _, tt := range []struct{ name, field, value string }{
		{"empty", "csrfmiddlewaretoken", ""},
		{"Django, one short", "csrfmiddlewaretoken", django[1:]},
		{"Django, one more", "csrfmiddlewaretoken", django + "a"},
		{"Django's unmasked secret", "csrfmiddlewaretoken", django[32:]},
		{"Django, a character of no token in the mask", "csrfmiddlewaretoken", "-" + django[1:]},
		{"Django, one in the cipher", "csrfmiddlewaretoken", django[:63] + "_"},
		{"Django's in Rails' field", "authenticity_token", django},
		{"Rails' in Django's field", "csrfmiddlewaretoken", rails},
		{"Rails, unmasked", "authenticity_token", base64.StdEncoding.EncodeToString([]byte(s.bytes(32)))},
		{"Rails, one short", "authenticity_token", rails[1:]},
		{"Rails, one more", "authenticity_token", rails + "A"},
		{"Rails, one padding", "authenticity_token", rails + "="},
		{"Rails, three paddings", "authenticity_token", rails + "==="},
		{"Rails, no base64", "authenticity_token", rails[:20] + "!" + rails[21:]},
		{"Rails, bits behind the end", "authenticity_token", rails[:85] + "B"},
		{"Rails, line breaks inside", "authenticity_token", rails[:40] + "\n\n" + rails[42:]},
		{"Spring, unmasked", "_csrf", springSecret(s)},
		{"Spring, no UUID", "_csrf", springToken(s, s.bytes(36))},
		{"Spring, no hex", "_csrf", springToken(s, "g2345678-1234-1234-1234-123456789abc")},
		{"Spring, hyphens elsewhere", "_csrf", springToken(s, "123456781-234-1234-1234-123456789abc")},
		{"Spring, far too long", "_csrf", strings.Repeat(spring, 3)},
		{"Phoenix's in Spring's field", "_csrf", phoenix},
		{"Phoenix, one short", "_csrf_token", phoenix[1:]},
		{"Phoenix, one more", "_csrf_token", phoenix + "="},
		{"Phoenix, no base64 first", "_csrf_token", "!" + phoenix[1:]},
		{"Phoenix, padding in the middle", "_csrf_token", phoenix[:31] + "=" + phoenix[32:]},
		{"Phoenix, no token under the mask", "_csrf_token", phoenixToken(s, "\x00"+phoenixSecret(s)[1:])},
		{"Symfony, one short", "form[_token]", symfony[:len(symfony)-1]},
		{"Symfony, one more", "form[_token]", symfony + "A"},
		{"Symfony, a fourth part", "form[_token]", symfony + ".a"},
		{"Symfony, two parts", "form[_token]", symfony[len(hash)+1:]},
		{"Symfony, unmasked", "form[_token]", symfonySecret(s)},
		{"Symfony, another length of the hash", "form[_token]", "0" + symfony},
		{"Symfony, no hash", "form[_token]", "g" + symfony[1:]},
		{"Symfony, a hash in capitals", "form[_token]", strings.Repeat("A", len(hash)) + symfony[len(hash):]},
		{"Symfony, no key", "form[_token]", hash + ".." + symfony[len(symfony)-58:]},
		{"Symfony, no token under the mask", "form[_token]", symfonyToken(s, "!"+symfonySecret(s)[1:])},
		{"Symfony's three parts, of a JWT", "form[_token]", "eyJhbGciOiJIUzI1NiJ9." + strings.Repeat("a", 43) + "." + strings.Repeat("b", 58)},
		{"Symfony's in a name without brackets", "form_token", symfony},
		{"Symfony's in another field of a form", "form[token]", symfony},
		{"Symfony's in Django's field", "csrfmiddlewaretoken", symfony},
		{"Django's in Symfony's field", "form[_token]", django},
		{"ASP.NET without a cookie", "__RequestVerificationToken", protected},
		{"a longer name", "csrfmiddlewaretoken2", django},
		{"a name in another case", "CsrfMiddlewareToken", django},
		{"a name of no framework", "my_csrf", django},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := `<p>a</p><input type="hidden" name="` + tt.field + `" value="` + tt.value + `"><p>b</p>`
			if got := formOf(t, page, "csrf"); got != page {
				t.Errorf("%s counts as %q", page, got)
			}
		})
	}
}

// Whoever writes a field csrf_token, or Django's token into a meta element, takes a framework's token for it.
func TestFieldsOfSeveralFormats(t *testing.T) {
	for _, f := range masking {
		s := newSource(5)
		secret := f.secret(s)
		first := `<input type=hidden name=csrf_token value="` + f.token(s, secret) + `">`
		second := `<input type=hidden name=csrf_token value="` + f.token(s, secret) + `">`
		if formOf(t, first, "csrf") != formOf(t, second, "csrf") {
			t.Errorf("%s in csrf_token is not unmasked", f.name)
		}
	}
	s := newSource(6)
	secret := djangoSecret(s)
	first := `<meta name="csrf-token" content="` + djangoToken(s, secret) + `">`
	second := `<meta name="csrf-token" content="` + djangoToken(s, secret) + `">`
	if formOf(t, first, "csrf") != formOf(t, second, "csrf") {
		t.Error("Django's in a meta element is not unmasked")
	}
	// The formats are told apart: 32 bytes that are a secret of Django and of Rails are two secrets.
	if formOf(t, first, "csrf") == formOf(t, `<meta name="csrf-token" content="`+railsToken(s, secret)+`">`, "csrf") {
		t.Error("one form for two formats")
	}
}

func TestIsProtected(t *testing.T) {
	for value, want := range map[string]bool{
		strings.Repeat("a", 63): false, strings.Repeat("a", 64): true, strings.Repeat("A0-_", 40): true,
		strings.Repeat("a", 64) + "=": false, strings.Repeat("a", 64) + ".": false, "+" + strings.Repeat("a", 64): false,
	} {
		if got := isProtected([]byte(value)); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
}
