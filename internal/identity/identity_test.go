package identity

import (
	"regexp"
	"strings"
	"testing"
)

var key = KeyOf([]byte("secret"))

func cookies(lines ...string) *Request { return &Request{Cookie: lines} }

func TestWhoIsSomebody(t *testing.T) {
	for _, tt := range []struct {
		name string
		asks Request
		want bool
	}{
		{"nothing is said", Request{}, false},
		{"a cookie", Request{Cookie: []string{"sid=1"}}, true},
		{"a cookie without a value", Request{Cookie: []string{"sid"}}, true},
		{"a field without cookies", Request{Cookie: []string{" ; "}}, false},
		{"counters and load balancers", Request{Cookie: []string{"_ga=GA1.2.3; _gid=1;_ga_AB12=GS2.1", "AWSALB=x; ARRAffinity=y"}}, false},
		{"a counter beside a session", Request{Cookie: []string{"_ga=1; sid=1"}}, true},
		{"an ignored cookie", Request{Cookie: []string{"theme=dark"}}, false},
		{"Authorization", Request{Authorization: []string{"Basic eA=="}}, true},
		{"an empty Authorization", Request{Authorization: []string{""}}, true},
		{"a certificate", Request{Certificate: []byte{1}}, true},
		{"a user", Request{User: "alice"}, true},
		{"a key", Request{Key: "tenant"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rules := Rules{Ignored: []string{"theme"}}
			who := rules.Who(&tt.asks, key)
			if !who.Known() || (who == Who{}) == tt.want || (who.Digest() != "") != tt.want {
				t.Errorf("%+v: somebody %v, want %v", who, who != Who{}, tt.want)
			}
			without := rules.Who(&tt.asks, nil)
			if without.Known() == tt.want || without.Digest() != "" || tt.want && without != Unknown {
				t.Errorf("without a key: %+v", without)
			}
		})
	}
}

// Each of these is somebody else than all others, however alike the parts look when they are strung together.
func TestWhoDistinguishes(t *testing.T) {
	asks := []Request{
		{Cookie: []string{"sid=1"}},
		{Cookie: []string{"sid=2"}},
		{Cookie: []string{"sid=1; a=b"}},
		{Cookie: []string{"sid=1a=b"}},
		{Cookie: []string{"sid=alice; sid=bob"}}, // of two with one name upstreams take the first, or the last
		{Cookie: []string{"sid=bob; sid=alice"}},
		{Cookie: []string{"SID=1"}},
		{Cookie: []string{"sid"}},
		{Cookie: []string{"sid="}},
		{Cookie: []string{"_ga=1,sid=1"}}, // RFC 2109 upstreams see two
		{Cookie: []string{"_ga=1,sid=2"}},
		{Authorization: []string{"sid=1"}},
		{Authorization: []string{""}},
		{Authorization: []string{"a", "b"}},
		{Authorization: []string{"ab"}},
		{Cookie: []string{"sid=1"}, Authorization: []string{"a"}},
		{Certificate: []byte("sid=1")},
		{Certificate: []byte{}},
		{User: "sid=1"},
		{User: "a", Key: "b"},
		{User: "ab"},
		{Key: "sid=1"},
		{Key: "ab"},
	}
	seen := map[string]int{}
	for i := range asks {
		digest := new(Rules).Who(&asks[i], key).Digest()
		if j, ok := seen[digest]; ok {
			t.Errorf("%+v and %+v are the same: %s", asks[i], asks[j], digest)
		}
		seen[digest] = i
	}
}

// What makes no difference.
func TestWhoIsTheSame(t *testing.T) {
	rules := Rules{Ignored: []string{"theme", "ab_*"}}
	want := rules.Who(cookies("a=1; sid=2"), key)
	for name, asks := range map[string]*Request{
		"another order":          cookies("sid=2; a=1"),
		"several lines":          cookies("sid=2", "a=1"),
		"spaces":                 cookies("a=1;sid=2 ; "),
		"cookies of no account":  cookies("_ga=1; a=1; ab_test=B; sid=2; theme=dark"),
		"others of them":         cookies("_ga=2; a=1; _ga_A1B2=x; sid=2; theme=light; lb=" + strings.Repeat("0f", 32)),
		"as crumbs of HTTP/2":    cookies("sid=2", "theme=dark", "a=1"),
		"an ignored one between": cookies("sid=2; ab_=1; a=1"),
	} {
		if got := rules.Who(asks, key); got != want {
			t.Errorf("%s: %s, want %s", name, got.Digest(), want.Digest())
		}
	}
}

// The vector comes from another implementation (Python's hmac and base64). It is the format: what changes it ends the use
// of every date in tags that are out already.
func TestWhoVector(t *testing.T) {
	asks := &Request{
		Cookie: []string{"sid=2; a=1"}, Authorization: []string{"Basic eA=="}, Certificate: []byte{0x30, 0}, User: "alice", Key: "tenant",
	}
	const want = "5aa8cji4npvo"
	if got := new(Rules).Who(asks, key).Digest(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDigestsAreKeyed(t *testing.T) {
	asks := cookies("sid=1")
	a, b := new(Rules).Who(asks, KeyOf([]byte("a"))), new(Rules).Who(asks, KeyOf([]byte("b")))
	if a.Digest() == b.Digest() || !regexp.MustCompile(`^[0-9a-v]{12}$`).MatchString(a.Digest()) {
		t.Errorf("%q and %q under two keys", a.Digest(), b.Digest())
	}
	if KeyOf(nil) != nil || KeyOf([]byte{}) != nil {
		t.Error("no secret gives a key, which everybody knows")
	}
}

func TestHas(t *testing.T) {
	alice, bob := new(Rules).Who(cookies("sid=1"), key), new(Rules).Who(cookies("sid=2"), key)
	for _, tt := range []struct {
		name   string
		who    Who
		digest string
		want   bool
	}{
		{"one's own", alice, alice.Digest(), true},
		{"another's", alice, bob.Digest(), false},
		{"nobody's, of somebody", alice, "", false},
		{"somebody's, of nobody", Who{}, alice.Digest(), false},
		{"nobody's", Who{}, "", true},
		{"nobody's, of who is unknown", Unknown, "", false},
		{"somebody's, of who is unknown", Unknown, alice.Digest(), false},
	} {
		if got := tt.who.Has(tt.digest); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func FuzzWho(f *testing.F) {
	f.Add("sid=1; a=2", "", "a=2;sid=1", "")
	f.Add("a=1; a=2", "x", "a=2; a=1", "x")
	f.Add("a=1", "b", "a", "1b")
	f.Fuzz(func(t *testing.T, cookiesA, userA, cookiesB, userB string) {
		a := new(Rules).Who(&Request{Cookie: []string{cookiesA}, User: userA}, key)
		b := new(Rules).Who(&Request{Cookie: []string{cookiesB}, User: userB}, key)
		if same := sameCookies(cookiesA, cookiesB) && userA == userB; (a == b) != same {
			t.Errorf("%q %q and %q %q: %+v, %+v", cookiesA, userA, cookiesB, userB, a, b)
		}
	})
}

// sameCookies compares them in another way than Who does: by the list of what each name has.
func sameCookies(a, b string) bool {
	byName := func(line string) map[string]string {
		values := map[string]string{}
		for _, pair := range new(Rules).counted([]string{line}) {
			values[NameOf(pair)] += pair + ";" // no pair has one in it
		}
		return values
	}
	listA, listB := byName(a), byName(b)
	if len(listA) != len(listB) {
		return false
	}
	for name, values := range listA {
		if listB[name] != values {
			return false
		}
	}
	return true
}

func TestNobodyCostsNothing(t *testing.T) {
	asks := new(Request)
	if n := testing.AllocsPerRun(100, func() { new(Rules).Who(asks, key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWho(b *testing.B) {
	asks := cookies("_ga=GA1.1.1234567890.1234567890; sessionid=abcdefghijklmnopqrstuvwxyz012345; csrftoken=abcdefghijklmnopqrstuvwxyz012345")
	b.ReportAllocs()
	for b.Loop() {
		new(Rules).Who(asks, key)
	}
}
