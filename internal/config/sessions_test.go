package config

import (
	"strings"
	"testing"
)

// TestWarningsOfSessions: a session that is said to be nobody's is told, and nothing else is.
func TestWarningsOfSessions(t *testing.T) {
	for pattern, want := range map[string]string{
		"sessionid":                      "sessionid is the name of a session (Django)",
		"PHPSESSID":                      "PHPSESSID is the name of a session (PHP)",
		"JSESSIONID":                     "JSESSIONID is the name of a session (Java)",
		"connect.sid":                    "connect.sid is the name of a session (Express)",
		"laravel_session":                "laravel_session is the name of a session (Laravel)",
		"ASP.NET_SessionId":              "ASP.NET_SessionId is the name of a session (ASP.NET)",
		"_session_id":                    "_session_id is the name of a session (Rails)",
		"_shop_session":                  "_shop_session is the name of a session (Rails)",
		"wordpress_logged_in_*":          "wordpress_logged_in_* is the name of a session (WordPress)",
		"wordpress_logged_in_0123456789": "wordpress_logged_in_0123456789 is the name of a session (WordPress)",
		"wordpress_*":                    "wordpress_* stands for wordpress_logged_in_*, too, the name of a session (WordPress)",
		"wp-*":                           "wp-* stands for wp-postpass_*, too, the name of a session (WordPress)",
		"session*":                       "session* stands for sessionid, too",
		"SESS*":                          "SESS* is the name of a session (Drupal)",
		// These are not, or may be anything.
		"_ga*": "", "_gid": "", "csrftoken": "", "XSRF-TOKEN": "", "consent": "", "AWSALB*": "", "_pk_ses*": "", "_hjSession_*": "", "wp-settings-*": "",
		"wordpress_test_cookie": "", "SESSION_LANGUAGE": "", "next*": "", "s*": "", "_*": "", "sessionId": "", "_session": "", "__session_x": "", "phpsessid": "",
	} {
		checkSessions(t, pattern, "remember ignore_cookies", "who has signed in would be answered from what guests have got", want, &Remember{IgnoreCookies: []string{"_ga", pattern}})
		checkSessions(t, pattern, "remember ignore_set_cookie", "what somebody gets who is signing in would be remembered", want,
			&Remember{IgnoreSetCookie: []string{pattern}, IgnoreCookies: []string{"XSRF-TOKEN"}})
	}
}

func checkSessions(t *testing.T, pattern, of, becomes, want string, r *Remember) {
	t.Helper()
	var got []Warning
	for _, w := range (&Handler{Remember: r}).Warnings() {
		if !strings.Contains(w.Text, "add ignore_cookies") { // of which another test is
			got = append(got, w)
		} else if want != "" {
			t.Errorf("%s: it is proposed to ignore it everywhere: %s", pattern, w.Text)
		}
	}
	switch {
	case want == "" && got == nil:
	case len(got) != 1 || want == "":
		t.Errorf("%s: %+v, want %q", pattern, got, want)
	case got[0].Of != of || got[0].Row != NoRow || !strings.HasPrefix(got[0].Text, of+": "+want) || !strings.HasSuffix(got[0].Text, ": "+becomes+"; remove it"):
		t.Errorf("%s: %+v", pattern, got[0])
	}
}
