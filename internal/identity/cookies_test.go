package identity

import (
	"slices"
	"strings"
	"testing"
)

func TestCounts(t *testing.T) {
	rules := &Rules{Ignored: []string{"theme", "ab_*"}}
	digest := strings.Repeat("0f", 32)
	for pair, want := range map[string]bool{
		"_ga=GA1.1.1": false, "_gid=1": false, "_ga_G1=x": false, "_ga_0=x": false,
		"_ga_=x": true, "_ga_gallery=x": true, "_ga_Abc=x": true, "_ga_A-B=x": true, "_gat=1": true, "_gallery_session=x": true, "_GA=x": true,
		"_ga.1=x": true, "x_ga=1": true, "_ga": false,
		"AWSALB=x": false, "AWSALBCORS=x": false, "AWSALBTG=x": false, "AWSALBTGCORS=x": false, "AWSELB=x": false, "AWSELBCORS=x": false,
		"AWSALBAPP-0=x": false, "AWSALBAPP-3=x": false, "AWSALBAPP-=x": true, "AWSELBAuthSessionCookie-0=x": true, "AWSALBAuthNonce=x": true,
		"ARRAffinity=x": false, "ARRAffinitySameSite=x": false, "ApplicationGatewayAffinity=x": false, "ApplicationGatewayAffinityCORS=x": false,
		"ASLBSA=x": false, "ASLBSACORS=x": false, "GCLB=x": false, "GCILB=x": false, "GCP_IAAP_AUTH_TOKEN=x": true,
		"__cflb=x": false, "__cf_bm=x": true, "CF_Authorization=x": true, "DO-LB=x": false, "heroku-session-affinity=x": false, "INGRESSCOOKIE=x": false,
		"SERVERID=a": true, "BIGipServerpool=1.2.0000": true, "JSESSIONID=x": true, "route=x": true,
		"lb=" + digest: false, "lb=" + digest[1:]: true, "lb=" + strings.ToUpper(digest): true, "lb=alice": true, "LB=" + digest: true,
		"theme=dark": false, "Theme=dark": true, "themes=1": true, "ab_test=1": false, "ab_=1": false, "ab=1": true,
		"_ga=1,sid=2": true, "theme=dark,sid=2": true,
		"sid=_ga": true, "=_ga": true, "=": true,
	} {
		if got := rules.Counts(pair); got != want {
			t.Errorf("%s counts: %v, want %v", pair, got, want)
		}
	}
}

// What the operator has said is another question than who somebody is.
func TestIgnores(t *testing.T) {
	rules := &Rules{Ignored: []string{"theme", "ab_*"}}
	for pair, want := range map[string]bool{
		"theme=dark": true, "theme =dark": true, "ab_1=x": true, "ab=x": false, "sid=1": false, "_ga=1": false, "AWSALB=x": false,
	} {
		if got := rules.Ignores(pair); got != want {
			t.Errorf("%s is ignored: %v, want %v", pair, got, want)
		}
	}
	if new(Rules).Ignores("theme=dark") {
		t.Error("the zero value ignores a cookie")
	}
}

func TestCookies(t *testing.T) {
	got := slices.Collect(Cookies([]string{"a=1; b=2;", " ", "c; =d;a=1"}))
	if want := []string{"a=1", "b=2", "c", "=d", "a=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range Cookies([]string{"a=1; b=2", "c=3"}) {
		break // a sequence that goes on would panic
	}
}
