package ignore

import (
	"strings"
	"testing"
)

// inAttributes are tags with a token in an attribute that is looked at.
var inAttributes = []string{
	`<body hx-headers='{"X-CSRFToken": "{token}"}'>`,
	`<body hx-headers="{&quot;X-CSRFToken&quot;: &quot;{token}&quot;}">`,
	`<body hx-headers='{&#34;x-csrftoken&#34;:&#34;{token}&#34;}'>`,
	`<body hx-headers='{&#x27;X-CSRFToken&#x27;: &#039;{token}&#039;}'>`,
	`<BODY HX-HEADERS='{"X-CSRFTOKEN": "{token}"}'>`,
	`<body class="a > b" hx-headers='{"Accept": "x", "X-CSRFToken": "{token}", "X-More": "y"}' id=a>`,
	`<body hx-headers='js:{"X-XSRF-TOKEN": "{token}"}'>`,
	`<body hx-headers="js:{'X-CSRF-Token': '{token}'}">`,
	`<body hx-headers="javascript:{csrf: '{token}'}">`,
	`<body hx-headers:inherited='{"X-CSRFToken": "{token}"}'>`,
	`<body data-hx-headers='{"X-CSRFToken": "{token}"}'>`,
	"<body\n hx-headers =\n '{\"X-CSRFToken\" : \"{token}\"}'>",
	`<button hx-vals='{"csrfmiddlewaretoken": "{token}"}'>`,
	`<my-element hx-headers='{"X-CSRFToken": "{token}"}'/>`,
	`<svg:a hx-headers='{"X-CSRFToken": "{token}"}'>`,
	`<div data-csrf="{token}">`, `<div data-csrf='{token}'>`, `<div data-csrf={token}>`, `<div data-csrf={token} class=a>`, `<div DATA-CSRF="{token}">`,
	`<div data-csrf-token="{token}">`, `<div data-csrf_token="{token}">`, `<div data-csrfToken="{token}">`, `<html data-x-xsrf="{token}">`,
	`<div data-authenticity-token="{token}">`, `<div data-token="{token}">`, `<div data-form--csrf-token-value="{token}">`,
	`<script data-csrf-token="{token}" src="/a.js">`, `<input type=text data-csrf="{token}">`, `<meta name=a data-csrf="{token}">`, `<link data-csrf="{token}">`,
	`<div data-props='{"user": {"name": "a"}, "csrfToken": "{token}"}'>`,
	`<div data-props="{&quot;csrf&quot;:{&quot;name&quot;:&quot;a&quot;,&quot;token&quot;:&quot;{token}&quot;}}">`,
	`<div data-page="[{&quot;a&quot;:1},{&quot;csrf_token&quot;:[&quot;{token}&quot;]}]">`,
	`<div data-json="{\&quot;csrf\&quot;:\&quot;{token}\&quot;}">`,
	`<a data-url="/remove?id=1&amp;csrf_token={token}&amp;more=1">`,
	`<div data-csrf="{token}" data-other="x" hx-headers='{"X-CSRFToken": "{token}"}'>`,
	`<script>for (i = 0; i <n && a['x'] == "don't; i++) {}</script><div data-csrf="{token}">`,
	`<style>a <b x="</style><div data-csrf="{token}">`,
	`<script src="/a.js" async>i <b "</SCRIPT><div data-csrf="{token}">`,
	`<!-- <div data-csrf="{token}"> -->`,
	`1 <2 and a <b</p><div data-csrf="{token}">`,
}

// Tokens of every kind that can be unmasked are found in hx-headers, hx-vals and data-*, in all the ways that these are
// written: masked anew they are no change, and another secret is one.
func TestTokensInAttributes(t *testing.T) {
	for _, f := range masking {
		s := newSource(7)
		secret, other := f.secret(s), f.secret(s)
		in := func(page, secret string) string { return filled(page, func() string { return f.token(s, secret) }) }
		for _, page := range inAttributes {
			resp := Response{MediaType: "text/html", Body: []byte(in(page, secret)), Memory: heap{}}
			want := formWith(t, resp, "csrf")
			if _, _, err := compiled(t, "csrf").Content(&resp); err != nil || !resp.Tokens || resp.Counts {
				t.Errorf("%s: %s: tokens %t, of which one counts %t", f.name, page, resp.Tokens, resp.Counts)
			}
			if formOf(t, in(page, secret), "csrf") != want {
				t.Errorf("%s: %s: masked anew, it is another page", f.name, page)
			}
			if formOf(t, in(page, other), "csrf") == want {
				t.Errorf("%s: %s: another secret is no change", f.name, page)
			}
			if formOf(t, in(page, secret)+" ", "csrf") == want {
				t.Errorf("%s: %s: another letter is no change", f.name, page)
			}
			if again := in(page, secret); formOf(t, again, "nonce") != again {
				t.Errorf("%s: %s: left out without csrf", f.name, page)
			}
		}
	}
}

// Elsewhere a token counts, and Counts says so; what is no token does not.
func TestTokensThatCount(t *testing.T) {
	s := newSource(8)
	token := djangoToken(s, djangoSecret(s))
	for _, page := range []string{
		`<script>headers['X-CSRFToken'] = '{token}'</script>`,
		`<script>xhr.setRequestHeader("X-CSRFToken", "{token}")</script>`,
		`<script>window.csrf_token = "{token}";</script>`,
		`<script>var csrfToken="{token}"</script>`,
		`<script>fetch("/x", {headers: {"X-CSRFToken": "{token}"}})</script>`,
		`<script type="application/json">{"csrfmiddlewaretoken":"{token}"}</script>`,
		`<script>x = "<div data-csrf='{token}'>"</script>`,
		`<script>/* never closed */ csrf = "{token}"`,
		`{"csrf": "{token}"}`,
		`<div x-data="{csrf: '{token}'}">`,
		`<a href="/remove?csrf_token={token}">`,
		`<p>The csrf token: {token}</p>`,
		`<div title="data-csrf='{token}'">`,
		`<div data-csrf="{token}"`,
		`<div data-csrf="a"><script>csrf = "{token}"</script>`,
	} {
		page = filled(page, func() string { return token })
		resp := Response{MediaType: "text/html", Body: []byte(page), Memory: heap{}}
		if content, _, _ := compiled(t, "csrf").Content(&resp); !strings.Contains(string(content), token) {
			if !strings.HasSuffix(page, `"`) { // a tag that is never closed is read all the same
				t.Errorf("%s: the token is left out", page)
			}
		} else if !resp.Counts || !resp.Tokens {
			t.Errorf("%s: nothing is said of a token", page)
		}
	}
	for _, value := range []string{
		"", "true", "csrf", token[1:], token + "a", strings.Repeat("a", 64), strings.Repeat("ab", 32), strings.Repeat("A", 86), djangoSecret(s),
		strings.Repeat("0123456789abcdef0123456789abcdef", 2), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
	} {
		for _, page := range []string{`<div data-csrf="VALUE">`, `<div hx-headers='{"X-CSRFToken": "VALUE"}'>`, `<script>csrf = "VALUE"</script>`} {
			page = strings.ReplaceAll(page, "VALUE", value)
			resp := Response{MediaType: "text/html", Body: []byte(page), Memory: heap{}}
			if content, _, _ := compiled(t, "csrf").Content(&resp); string(content) != page || resp.Counts || resp.Tokens {
				t.Errorf("%s: counts as %q, tokens %t, one counts %t", page, content, resp.Tokens, resp.Counts)
			}
		}
	}
	// What no name of a token stands before is none, be it in the form of one.
	for _, page := range []string{`<div data-hash="{token}">`, `<div hx-headers='{"X-Digest": "{token}"}'>`, `<div data-a="csrf" data-b="{token}">`, `<div data-csrf="" id="{token}">`, `<div data-csrf data-b="{token}">`} {
		page = filled(page, func() string { return token })
		if got := formOf(t, page, "csrf"); got != page {
			t.Errorf("%s: counts as %q", page, got)
		}
	}
}

// Long pages, and such as would cost more than once through.
func TestTokensInLongPages(t *testing.T) {
	s := newSource(9)
	secret := djangoSecret(s)
	div := func() string { return `<div data-csrf="` + djangoToken(s, secret) + `">` }
	for name, around := range map[string]string{
		"text":         strings.Repeat("<p>None of it is a token.</p>\n", 100_000),
		"open tags":    strings.Repeat("<p ", 10) + ">" + strings.Repeat("token ", 200_000),
		"a value each": strings.Repeat(`<p data-token="csrf">`, 100_000),
	} {
		first, again := around+div()+around, around+div()+around
		if formOf(t, first, "csrf") != formOf(t, again, "csrf") {
			t.Errorf("%s: masked anew, it is another page", name)
		}
	}
	many := strings.Repeat(div(), maxGaps+1)
	resp := Response{MediaType: "text/html", Body: []byte(many), Memory: heap{}}
	if _, _, err := compiled(t, "csrf").Content(&resp); err != nil || !resp.Tokens {
		t.Error("no token among many")
	}
}
