package ignore

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

const (
	antiforgery = ".AspNetCore.Antiforgery.9fXoN5jHCXs=CfDJ8A"
	ofFramework = "__RequestVerificationToken_L2E1=CfDJ8A"
)

func cookies(lines ...string) http.Header { return http.Header{"Cookie": lines} }

// with adds fields to cookies.
func with(header http.Header, namesAndLines ...string) http.Header {
	header = maps.Clone(header)
	for i := 0; i < len(namesAndLines); i += 2 {
		header[namesAndLines[i]] = append(header[namesAndLines[i]], namesAndLines[i+1])
	}
	return header
}

// aspNetForm is what counts of a page of ASP.NET, with new tokens each time.
func aspNetForm(t *testing.T, s source, resp Response) string {
	t.Helper()
	resp.MediaType = "text/html"
	resp.Body = []byte(filled(fixture(t, "aspnet"), func() string { return aspNetToken(s, "") }))
	return formWith(t, resp, "csrf")
}

// ASP.NET's token cannot be unmasked; of a visitor whom nothing signs in, the antiforgery cookie it is bound to counts in
// its place, and every field that may tell of a user.
func TestAntiforgery(t *testing.T) {
	s := newSource(7)
	want := aspNetForm(t, s, Response{Request: cookies(antiforgery)})
	for _, tt := range []struct {
		name    string
		request http.Header
		same    bool
	}{
		{"the same cookie", cookies(antiforgery), true},
		{"with a visitor count", cookies("_ga=GA1.1.1.1; _ga_ABC=GS1; _gid=b;" + antiforgery + ";_gat_UA-1=1; _pk_id.1.1fff=a"), true},
		{"with another visitor count", cookies("_ga=GA1.1.1.1; _ga_ABC=GS2; " + antiforgery), true},
		{"on a second line", cookies("_ga=b", antiforgery), true},
		{"with consent, language and load balancer", cookies(".AspNet.Consent=yes; .AspNetCore.Culture=c; ARRAffinity=a; ARRAffinitySameSite=a;; " + antiforgery), true},
		{"loaded again", with(cookies(antiforgery), "Cache-Control", "max-age=0", "If-None-Match", `"a"`, "Accept", "*/*", "Sec-Fetch-Site", "none"), true},
		{"another number of the request", with(cookies(antiforgery), "X-Request-Id", "1", "Traceparent", "00-1", "Referer", "/"), true},
		{"another antiforgery cookie", cookies(antiforgery + "B"), false},
		{"two of them", cookies(antiforgery + "; .AspNetCore.Antiforgery.other=x"), false},
		{"two of them in another order", cookies(".AspNetCore.Antiforgery.other=x; " + antiforgery), false},
		{"of the same value and another name", cookies(".AspNetCore.Antiforgery.other=CfDJ8A"), false},
		{"of the Framework", cookies(ofFramework), false},
		{"a user whom a proxy has signed in", with(cookies(antiforgery), "Remote-User", "alice"), false},
		{"by a field of any name", with(cookies(antiforgery), "X-Acme-Visitor", "alice"), false},
		{"by one that is X-Forwarded", with(cookies(antiforgery), "X-Forwarded-User", "alice"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := aspNetForm(t, s, Response{Request: tt.request})
			if again := aspNetForm(t, s, Response{Request: tt.request}); again != got {
				t.Error("another token, and the page is another one")
			}
			if (got == want) != tt.same {
				t.Errorf("the same page: %t, want %t", got == want, tt.same)
			}
		})
	}
	// Fields and lines are told apart.
	forms := make(map[string]http.Header)
	for _, request := range []http.Header{
		with(cookies(antiforgery), "A", "bC", "D", ""), with(cookies(antiforgery), "Ab", "C", "D", ""), with(cookies(antiforgery), "A", "b", "A", "C", "D", ""),
		with(cookies(antiforgery), "A", "bC"), with(cookies(antiforgery), "A", "bC", "D", "", "D", ""), cookies(antiforgery + "A=b"), cookies(ofFramework + "; " + antiforgery),
	} {
		form := aspNetForm(t, s, Response{Request: request})
		for range 20 {
			if aspNetForm(t, s, Response{Request: request}) != form {
				t.Fatalf("%v does not count as the same twice", request)
			}
		}
		if other, twice := forms[form]; twice {
			t.Errorf("%v and %v count as one", request, other)
		}
		forms[form] = request
	}
}

// Where a user may be signed in, or the cookie be replaced, the token counts: the user may be another one by now, though
// the request be the same.
func TestTokenThatMayHaveDied(t *testing.T) {
	s := newSource(7)
	answered := func(lines ...string) http.Header { return http.Header{"Set-Cookie": lines} }
	for _, tt := range []struct {
		name string
		resp Response
	}{
		{"no field", Response{}},
		{"other cookies", Response{Request: cookies("a=b; .AspNetCore.Session=x; x.AspNetCore.Antiforgery.a=b")}},
		{"visitor counts alone", Response{Request: cookies("_ga=b")}},
		{"a field that is no cookie alone", Response{Request: http.Header{"User-Agent": {"a"}}}},
		{"an antiforgery cookie of another name", Response{Request: cookies("Forgery=CfDJ8A")}},
		{"of another name, and a left one of the usual name", Response{Request: cookies(antiforgery + "; Forgery=CfDJ8A")}},
		{"a name that only begins so", Response{Request: cookies("__RequestVerificationTokens=CfDJ8A")}},
		{"a user of the usual name", Response{Request: cookies(antiforgery + "; .AspNetCore.Identity.Application=x")}},
		{"a user of another name", Response{Request: cookies(antiforgery + "; SignIn=alice")}},
		{"a name of which visitor counts are the beginning", Response{Request: cookies(antiforgery + "; _gateway=alice")}},
		{"a name without a value", Response{Request: cookies(antiforgery + "; alice")}},
		{"a name in another case", Response{Request: cookies(antiforgery + "; _GA=alice")}},
		{"on a second line", Response{Request: cookies(antiforgery, "SignIn=alice")}},
		{"before it", Response{Request: cookies("SignIn=alice; " + antiforgery)}},
		{"behind a comma", Response{Request: cookies(antiforgery + "; _ga=1,SignIn=alice")}},
		{"a session", Response{Request: cookies(antiforgery + "; .AspNetCore.Session=x")}},
		{"a user of the Framework", Response{Request: cookies(ofFramework + "; .ASPXAUTH=x")}},
		{"a session of the Framework", Response{Request: cookies(ofFramework + "; ASP.NET_SessionId=x")}},
		{"credentials", Response{Request: cookies(antiforgery), Identified: true}},
		{"a new cookie", Response{Request: cookies(antiforgery), Header: answered("a=b", antiforgery+"B; path=/")}},
		{"a new cookie of another name", Response{Request: cookies(antiforgery), Header: answered("Forgery=CfDJ8B")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if first := aspNetForm(t, s, tt.resp); aspNetForm(t, s, tt.resp) == first {
				t.Error("a token is left out that nothing stands for")
			}
		})
	}
}

// What does not look like a token of ASP.NET counts, though there is a cookie.
func TestNoTokenOfASPNET(t *testing.T) {
	page := `<input type=hidden name=__RequestVerificationToken value="` + strings.Repeat("a", 100) + `.">`
	request := http.Header{"Cookie": {"__RequestVerificationToken=a"}}
	if got := formWith(t, Response{Request: request, MediaType: "text/html", Body: []byte(page)}, "csrf"); got != page {
		t.Errorf("it counts as %q", got)
	}
}

// The cookie counts once, however many forms a page has.
func TestVisitorCountsOnce(t *testing.T) {
	s := newSource(8)
	body := strings.Repeat(`<input type=hidden name=__RequestVerificationToken value=`+aspNetToken(s, "")+`>`, 100)
	value := strings.Repeat("v", 4000)
	got := formWith(t, Response{
		Request:   http.Header{"Cookie": {"__RequestVerificationToken=" + value}},
		MediaType: "text/html", Body: []byte(body),
	}, "csrf")
	if n := strings.Count(got, value); n != 1 {
		t.Errorf("it counts %d times", n)
	}
}
