package config

import (
	"fmt"
	"strings"
)

// session is a cookie by which an application knows who has signed in. One with a * at its end stands for all names that
// begin so.
type session struct{ name, of string }

// sessions are those that well-known software calls so, whatever the site. What only some sites use so is not among them.
var sessions = []session{
	{"sessionid", "Django"},
	{"PHPSESSID", "PHP"},
	{"laravel_session", "Laravel"},
	{"remember_web_*", "Laravel"},
	{"ci_session", "CodeIgniter"},
	{"REMEMBERME", "Symfony"},
	{"wordpress_logged_in_*", "WordPress"},
	{"wordpress_sec_*", "WordPress"},
	{"wp-postpass_*", "WordPress"},
	{"wp_woocommerce_session_*", "WooCommerce"},
	{"SESS*", "Drupal"},
	{"SSESS*", "Drupal"},
	{"fe_typo_user", "TYPO3"},
	{"be_typo_user", "TYPO3"},
	{"JSESSIONID", "Java"},
	{"SESSION", "Spring"},
	{"remember-me", "Spring"},
	{"connect.sid", "Express"},
	{"express:sess", "Express"},
	{"koa.sess", "Koa"},
	{"next-auth.session-token", "Auth.js"},
	{"__Secure-next-auth.session-token", "Auth.js"},
	{"authjs.session-token", "Auth.js"},
	{"__Secure-authjs.session-token", "Auth.js"},
	{"_session_id", "Rails"},
	{"remember_user_token", "Rails"},
	{"session", "Flask"},
	{"remember_token", "Flask"},
	{"ASP.NET_SessionId", "ASP.NET"},
	{".ASPXAUTH", "ASP.NET"},
	{".AspNetCore.Session", "ASP.NET"},
	{".AspNetCore.Cookies", "ASP.NET"},
	{".AspNetCore.Identity.Application", "ASP.NET"},
}

// surest is how much of a longer name a pattern has to say for it to be meant: next* is about anything.
const surest = 6

// sessionUnder is a session that a pattern of cookies is about, as warnings name it; empty: there is none for sure.
func sessionUnder(pattern string) string {
	prefix, open := strings.CutSuffix(pattern, "*")
	for _, s := range sessions {
		name, family := strings.CutSuffix(s.name, "*")
		switch {
		case pattern == s.name, family && strings.Contains(name, "_") && strings.HasPrefix(prefix, name):
			return fmt.Sprintf("%s is the name of a session (%s)", pattern, s.of)
		case open && strings.HasPrefix(name, prefix) && (len(prefix) >= min(surest, len(name)) || prefix == "wp-"):
			return fmt.Sprintf("%s stands for %s, too, the name of a session (%s)", pattern, s.name, s.of)
		}
	}
	if strings.HasPrefix(pattern, "_") && strings.HasSuffix(pattern, "_session") && len(pattern) > len("__session") {
		return fmt.Sprintf("%s is the name of a session (Rails)", pattern)
	}
	return ""
}

// sessionWarnings are about cookies that are said to be nobody's, and are somebody's for sure.
func (r Remember) sessionWarnings() (all []Warning) {
	for _, option := range [...]struct {
		of       string
		patterns []string
		becomes  string
	}{
		{OfCookies, r.IgnoreCookies, "who has signed in would be answered from what guests have got"},
		{OfSetCookie, r.IgnoreSetCookie, "what somebody gets who is signing in would be remembered"},
	} {
		for _, pattern := range option.patterns {
			if is := sessionUnder(pattern); is != "" {
				all = append(all, Warning{Row: NoRow, Of: option.of, Text: option.of + ": " + is + ": " + option.becomes + "; remove it"})
			}
		}
	}
	return all
}
