package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
)

// update rewrites the goldens: go test ./integration/ -run 'TestAdapt$|TestWrong$' -update
var update = flag.Bool("update", false, "rewrite the golden files of testdata/adapt")

// secretVariable is what the Caddyfiles of testdata/adapt/good take a secret from.
const secretVariable = "CONDITIONAL_CACHE_SECRET"

// TestAdapt pins the JSON that every form of every subdirective becomes: one Caddyfile for each in
// testdata/adapt/good. What adapts has to provision, too.
func TestAdapt(t *testing.T) {
	t.Setenv(secretVariable, "secret of the goldens")
	for name, file := range adaptFiles(t, "good", 80) {
		t.Run(name, func(t *testing.T) {
			config, warnings, err := adapt(file.text)
			if err != nil {
				t.Fatal(err)
			}
			// These files are formatted, so that there is nothing at all to warn of.
			for _, warning := range warnings {
				t.Errorf("warning: %v", warning)
			}
			compareGolden(t, file.path+".json", indent(t, config))
			if err := validate(config); err != nil {
				t.Errorf("adapts, but does not provision: %v", err)
			}
		})
	}
}

// TestAdaptOrder: the order that init registers holds without an `order` option, whatever the order of
// the lines. Outside of encode a strong tag would not tell two codings apart; inside of templates or
// reverse_proxy there would be nothing to tag.
func TestAdaptOrder(t *testing.T) {
	want := []string{"rewrite", "authentication", "headers", "encode", "conditional_cache", "templates", "reverse_proxy"}
	var got []string
	for _, h := range handlersOf(t, "order") {
		if name, _ := h["handler"].(string); slices.Contains(want, name) {
			got = append(got, name)
		}
	}
	slices.Sort(want[:3]) // that these three come first is enough: their own order is Caddy's affair
	if len(got) == len(want) {
		slices.Sort(got[:3])
	}
	if !slices.Equal(got, want) {
		t.Errorf("handlers are in the order %q, want %q", got, want)
	}
}

// TestAdaptBlocks: siblings have one block name, so that of those which match a request one acts; any
// two blocks that a request may pass through have two, so that both act.
func TestAdaptBlocks(t *testing.T) {
	for file, want := range map[string][]string{
		"bare":           {"1"},
		"siblings":       {"1", "1", "1"},
		"snippet_twice":  {"1", "1", "2"},
		"two_sites":      {"1", "1"}, // a request is in one site only
		"nested_handles": {"1", "2", "2", "3"},
		"error_route":    {"1", "2"},
		"named_routes":   {"1", "named 1", "named 1", "named 2", "named 3"},
	} {
		t.Run(file, func(t *testing.T) {
			var got []string
			for _, h := range handlersOf(t, file) {
				if h["handler"] == "conditional_cache" {
					got = append(got, fmt.Sprint(h["block"]))
				}
			}
			slices.Sort(got) // handlers come in the order of a map's keys and of Caddy's sorting
			if !slices.Equal(got, want) {
				t.Errorf("blocks %q, want %q", got, want)
			}
		})
	}
}

// wrongMark ends the line that the error of a Caddyfile in testdata/adapt/wrong has to name.
const wrongMark = "# wrong"

var (
	// lineNamed is the first place that an error names; an import chain and enclosing blocks come after it.
	lineNamed = regexp.MustCompile(`at Caddyfile:(\d+)`)
	// onOneLine is a block as no Caddyfile may have it; { ... } is none.
	onOneLine = regexp.MustCompile(`\w{2,} \{ [a-z_]+[^{}]* \}`)
	// internals are words of the libraries beneath, which say nothing to who wrote the Caddyfile.
	internals = regexp.MustCompile(`strconv|Atoi|Parse[A-Z]|invalid syntax|time: |humanize|conditionalcache\.|json: |%!|nil|runtime`)
)

// TestWrong: what is wrong is refused when the Caddyfile is adapted, with its line and with what would
// be right: one Caddyfile for each mistake in testdata/adapt/wrong, its message beside it.
func TestWrong(t *testing.T) {
	for name, file := range adaptFiles(t, "wrong", 200) {
		t.Run(name, func(t *testing.T) {
			config, _, err := adapt(file.text)
			if err == nil {
				t.Fatalf("accepted, as %s", config)
			}
			message := err.Error()
			compareGolden(t, file.path+".txt", message+"\n")
			if got, want := lineNamed.FindStringSubmatch(message), markedLine(t, file.text); got == nil || got[1] != want {
				t.Errorf("names the line %v, want %s: %s", got, want, message)
			}
			if found := internals.FindString(message); found != "" {
				t.Errorf("shows %q: %s", found, message)
			}
			if onOneLine.MatchString(message) && !strings.Contains(message, "line break") {
				t.Errorf("shows a block on one line, which Caddy refuses: %s", message)
			}
			if again := repeated(message); again != "" {
				t.Errorf("says %q twice: %s", again, message)
			}
		})
	}
}

// markedLine returns the number of the one line that ends with wrongMark.
func markedLine(t *testing.T, text string) string {
	t.Helper()
	marked := ""
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasSuffix(line, wrongMark) {
			continue
		}
		if marked != "" {
			t.Fatalf("lines %s and %d both end with %q", marked, i+1, wrongMark)
		}
		marked = strconv.Itoa(i + 1)
	}
	if marked == "" {
		t.Fatalf("no line ends with %q", wrongMark)
	}
	return marked
}

// repeated returns a part of a message that stands there twice in a row, as wrapping an error at two
// levels makes it.
func repeated(message string) string {
	parts := strings.Split(message, ": ")
	for i := range parts[1:] {
		if strings.HasPrefix(parts[i+1], parts[i]) {
			return parts[i]
		}
	}
	words := strings.Fields(message)
	for i := range words[1:] {
		if words[i] == words[i+1] {
			return words[i]
		}
	}
	return ""
}

// okApp is an app with nothing wrong.
const okApp = `{"max_total": 1}`

// wrongJSON are members of a handler and apps, and what the error has to say.
var wrongJSON = map[string]struct{ handler, app, want string }{
	"field of the handler":        {`"etags": {}`, okApp, `unknown field "etags"`},
	"field of etag":               {`"etag": {"ignores": ["csrf"]}`, okApp, `unknown field "ignores"`},
	"field of last_modified":      {`"last_modified": {"source": "x"}`, okApp, `unknown field "source"`},
	"field of a source":           {`"last_modified": {"from": [{"first_light": true}]}`, okApp, `unknown field "first_light"`},
	"field of a row":              {`"cache_control": [{"spread": 10}]`, okApp, `unknown field "spread"`},
	"field of buffer":             {`"buffer": {"max_size": 1}`, okApp, `unknown field "max_size"`},
	"field of guard_writes":       {`"guard_writes": {"method": ["PUT"]}`, okApp, `unknown field "method"`},
	"field of not_modified":       {`"not_modified": {"add": ["Link"]}`, okApp, `unknown field "add"`},
	"field of a response matcher": {`"response_matchers": {"a": {"status": [404]}}`, okApp, `unknown field "status"`},
	"field of the app":            {``, `{"stores": "memory"}`, `unknown field "stores"`},

	"max_body as text":        {`"buffer": {"max_body": "4MiB"}`, okApp, `buffer.max_body has to be a whole number, and is "4MiB"; write "max_body": 4194304`},
	"etag as text":            {`"etag": "weak"`, okApp, `etag has to be an object, and is "weak"; write "etag": {"mode": "strong"}`},
	"max_delay rubbish":       {`"buffer": {"max_delay": "soon"}`, okApp, `buffer.max_delay has to be a duration, or "off", and is "soon"; write "max_delay": "200ms"`},
	"content_location a word": {`"content_location": "on"`, okApp, `content_location has to be true or false, and is "on"; write "content_location": true`},
	"directives as text":      {`"cache_control": [{"directives": "no-cache"}]`, okApp, `cache_control[0].directives has to be a list, and is "no-cache"; write "directives": ["public", "max-age=1h"]`},
	"directives of numbers":   {`"cache_control": [{"directives": ["a"]}, {"directives": [1]}]`, okApp, `cache_control[1].directives has to be a list, and is [1]`},
	"path a number":           {`"cache_control": [{"path": 1}]`, okApp, `cache_control[0].path has to be a text, or a list of texts, and is 1; write "path": ["/assets/*", "/fonts/*"]`},
	"rows as an object":       {`"cache_control": {"directives": ["no-cache"]}`, okApp, `cache_control has to be a list, and is {"directives":["no-cache"]}; write "cache_control": [{`},
	"field of redis":          {`"remember": {"store": {"name": "redis", "address": "localhost:6379"}}`, okApp, `address has to be a list, and is "localhost:6379"; write "address": ["localhost:6379"]`},
	"field of memory":         {`"remember": {"store": {"name": "memory", "max_entries": "1k"}}`, okApp, `max_entries has to be a whole number, and is "1k"; write "max_entries": 100000`},
	"max a fraction":          {`"ranges": {"max": 1.5}`, okApp, `ranges.max has to be a whole number, and is 1.5; write "max": 16`},
	"status as text":          {`"response_matchers": {"a": {"status_code": ["404"]}}`, okApp, `response_matchers.a.status_code has to be a list, and is ["404"]`},
	"max_total as text":       {``, `{"max_total": "1GiB"}`, `max_total has to be a whole number, and is "1GiB"; write "max_total": 268435456`},
	"the app a list":          {``, `[]`, `what is here has to be an object, and is []`},

	"a list of no paths":      {`"cache_control": [{"path": [], "directives": ["public"]}]`, okApp, `cache_control[0]: an empty list selects nothing`},
	"a path of nothing":       {`"cache_control": [{"path": ["/a", ""], "directives": ["public"]}]`, okApp, `cache_control[0]: path "" has to begin with a slash`},
	"a path twice":            {`"cache_control": [{"path": ["/a", "/A"], "directives": ["public"]}]`, okApp, `cache_control[0]: /a is named twice; name it once`},
	"off without a selector":  {`"cache_control": [{"off": true}]`, okApp, `cache_control[0]: off needs a selector`},
	"off with directives":     {`"cache_control": [{"path": "/a", "off": true, "directives": ["public"]}]`, okApp, `cache_control[0]: off goes with selectors and nothing else`},
	"off with existing":       {`"cache_control": [{"path": "/a", "off": true, "existing": "replace"}]`, okApp, `cache_control[0]: off goes with selectors and nothing else`},
	"below a row that is off": {`"cache_control": [{"path": "/a/*", "off": true}, {"path": "/a/b", "directives": ["public"]}]`, okApp, `cache_control /a/b: never applies`},

	"etag mode":       {`"etag": {"mode": "sometimes"}`, okApp, `etag: unrecognized "sometimes"`},
	"etag hash":       {`"etag": {"hash": "md5"}`, okApp, `etag hash: unrecognized "md5"`},
	"etag existing":   {`"etag": {"existing": "fix"}`, okApp, `etag existing: unrecognized "fix"`},
	"last_modified":   {`"last_modified": {"mode": "from"}`, okApp, `last_modified: unrecognized "from"`},
	"expires":         {`"expires": "later"`, okApp, `expires: unrecognized "later"`},
	"head":            {`"head": "put"`, okApp, `head: unrecognized "put"`},
	"existing of row": {`"cache_control": [{"directives": ["public"], "existing": "join"}]`, okApp, `cache_control[0]: existing: unrecognized "join"`},
	"etag off, hash":  {`"etag": {"mode": "off", "hash": "sha256"}`, okApp, `etag off makes no tags`},
	"xxh3 and secret": {`"etag": {"hash": "xxh3", "secret": "a"}`, okApp, `hash xxh3 takes no secret`},
	"secret unset":    {`"etag": {"secret": "{env.CONDITIONAL_CACHE_UNSET}"}`, okApp, `etag secret: evaluated placeholder {env.CONDITIONAL_CACHE_UNSET} is empty`},
	"secret of request": {
		`"etag": {"secret": "{http.request.host}"}`, okApp,
		`etag secret: unrecognized placeholder {http.request.host}`,
	},
	"ignore a word":        {`"etag": {"ignore": "csrf"}`, okApp, `ignore`},
	"ignore, etag strong":  {`"etag": {"mode": "strong", "ignore": ["csrf"]}`, okApp, `ignore makes every tag weak`},
	"ignore, etag off":     {`"etag": {"mode": "off", "ignore": ["csrf"]}`, okApp, `etag off makes no tags, so ignore`},
	"ignore, no regexp":    {`"etag": {"ignore": ["csrf"], "ignore_expressions": ["a["]}`, okApp, `ignore: "a[" is no regular expression`},
	"ignore, no word":      {`"etag": {"ignore": ["csrf", "\\d+"]}`, okApp, "ignore: `\\d+` is neither csrf nor nonce"},
	"ignore, near word":    {`"etag": {"ignore": ["csrf_token"]}`, okApp, `ignore: unrecognized "csrf_token"; say csrf`},
	"ignore, capitals":     {`"etag": {"ignore": ["NONCE"]}`, okApp, `ignore: unrecognized "NONCE"; say nonce`},
	"ignore, word below":   {`"etag": {"ignore_expressions": ["csrf"]}`, okApp, `ignore: "csrf" is no expression but the word csrf`},
	"ignore, expressions":  {`"etag": {"ignore_expressions": "a+"}`, okApp, `ignore_expressions`},
	"ignore, empty match":  {`"etag": {"ignore_expressions": ["a*"]}`, okApp, `ignore: "a*" matches the empty string`},
	"ignore, twice":        {`"etag": {"ignore": ["csrf", "csrf"]}`, okApp, `ignore: "csrf" is there already`},
	"ignore, guard_writes": {`"etag": {"ignore": ["csrf"]}, "guard_writes": {}`, okApp, `guard_writes needs etag strong, and ignore makes every tag weak`},
	"epoch unknown":        {`"etag": {"epoch": "{release}"}`, okApp, `etag epoch: unrecognized placeholder {release}`},

	"modified without a lifetime":    {`"expires": "modified"`, okApp, `expires modified: 0s is not a duration`},
	"modified, a fraction":           {`"expires": "modified", "expires_modified": "1.5s"`, okApp, `expires modified: 1.5s is not`},
	"modified, rubbish":              {`"expires": "modified", "expires_modified": "soon"`, okApp, `expires_modified has to be a duration, and is "soon"; write "expires_modified": "1h"`},
	"a lifetime without modified":    {`"expires_modified": "1h"`, okApp, `expires_modified goes with expires modified`},
	"modified without Last-Modified": {`"expires": "modified", "expires_modified": "1h", "last_modified": {"mode": "remove"}`, okApp, `expires modified counts from Last-Modified`},
	"modified and max-age":           {`"expires": "modified", "expires_modified": "1h", "cache_control": [{"directives": ["max-age=1"]}]`, okApp, `expires modified, and a cache_control line without a selector`},
	"jitter negative":                {`"cache_control": [{"directives": ["max-age=60"], "jitter": -1}]`, okApp, `cache_control[0]: jitter: -1% is not a percentage from 1% to 50%`},
	"jitter of everything":           {`"cache_control": [{"directives": ["max-age=60"], "jitter": 51}]`, okApp, `cache_control[0]: jitter: 51% is not`},
	"jitter as text":                 {`"cache_control": [{"directives": ["max-age=60"], "jitter": "10%"}]`, okApp, `cache_control[0].jitter has to be a number, and is "10%"; write "jitter": 10`},
	"jitter of nothing":              {`"cache_control": [{"directives": ["public"], "jitter": 10}]`, okApp, `cache_control[0]: jitter spreads max-age and s-maxage`},

	"from beside remove":    {`"last_modified": {"mode": "remove", "from": [{"header": "X-A"}]}`, okApp, `last_modified remove sends no date`},
	"from json, etag off":   {`"etag": {"mode": "off"}, "last_modified": {"from": [{"json": "a"}]}`, okApp, `last_modified from json reads the buffered body`},
	"source of nothing":     {`"last_modified": {"from": [{}]}`, okApp, `a source is one of header, json and file`},
	"source of two":         {`"last_modified": {"from": [{"header": "X-A", "json": "a"}]}`, okApp, `a source is one of header, json and file`},
	"source twice":          {`"last_modified": {"from": [{"json": "a"}, {"json": "a"}]}`, okApp, `json a is given twice`},
	"source file with NUL":  {`"last_modified": {"from": [{"file": ["a\u0000"]}]}`, okApp, `has a NUL in it`},
	"source file, layout":   {`"last_modified": {"from": [{"file": ["a"], "layout": "2006-01-02"}]}`, okApp, `a file's time has no layout`},
	"source layout rubbish": {`"last_modified": {"from": [{"json": "a", "layout": "YYYY"}]}`, okApp, `layout "YYYY" names no year, month and day`},

	"field of remember":        {`"remember": {"lifetime": "1m"}`, okApp, `unknown field "lifetime"`},
	"remember a word":          {`"remember": "10m"`, okApp, `remember`},
	"remember ttl negative":    {`"remember": {"ttl": "-1m"}`, okApp, `remember: ttl -1m0s is not a duration of whole seconds`},
	"remember ttl a fraction":  {`"remember": {"ttl": "1500ms"}`, okApp, `remember: ttl 1.5s is not`},
	"remember ttl over a year": {`"remember": {"ttl": "8761h"}`, okApp, `remember: ttl 8761h0m0s is not`},
	"remember ttl in seconds":  {`"remember": {"ttl": 600}`, okApp, `remember: ttl 600ns is not`},
	"grace negative":           {`"remember": {"grace": -1}`, okApp, `remember: grace -1ns is not`},
	"stale_if_error fraction":  {`"remember": {"stale_if_error": "1.5s"}`, okApp, `remember: stale_if_error 1.5s is not`},
	"key open":                 {`"remember": {"key": "{http.request.host"}`, okApp, `key: "{http.request.host" has a { without its }`},
	"key of a Caddyfile":       {`"remember": {"key": "{header.X-Api-Key}"}`, okApp, `key: {header.X-Api-Key} is not known; write {http.request.header.X-Api-Key}`},
	"key of a field":           {`"remember": {"key": "X-Api-Key"}`, okApp, `key: "X-Api-Key" has no placeholder`},
	"key of {$…}":              {`"remember": {"key": "{$REGION}"}`, okApp, `key: {$REGION} is not a placeholder`},
	"cookies as text":          {`"remember": {"ignore_cookies": "_ga*"}`, okApp, `ignore_cookies`},
	"every cookie":             {`"remember": {"ignore_cookies": ["*"]}`, okApp, `ignore_cookies: * would give everybody`},
	"a cookie without a name":  {`"remember": {"ignore_cookies": [""]}`, okApp, `ignore_cookies: "" is not the name of a cookie`},
	"every cookie set":         {`"remember": {"ignore_set_cookie": ["*"]}`, okApp, `ignore_set_cookie: * would remember pages`},
	"set cookies as text":      {`"remember": {"ignore_set_cookie": "a"}`, okApp, `ignore_set_cookie`},
	"store as text":            {`"remember": {"store": "memory"}`, okApp, `store has to be an object that has a name`},
	"store null":               {`"remember": {"store": null}`, okApp, `store has to be an object that has a name`},
	"store without a name":     {`"remember": {"store": {"max_entries": 1}}`, okApp, `store has to be an object that has a name`},
	"store unknown":            {`"remember": {"store": {"name": "memcached"}}`, okApp, `no store "memcached" is built in, only memory`},
	"field of a store":         {`"remember": {"store": {"name": "memory", "entries": 1}}`, okApp, `unknown field "entries"`},
	"store of the app unknown": {``, `{"store": {"name": "memcached"}}`, `no store "memcached" is built in, only memory`},
	"store of the app as text": {``, `{"store": "memory"}`, `store has to be an object that has a name`},
	"field of the app's store": {``, `{"store": {"name": "memory", "entries": 1}}`, `unknown field "entries"`},
	"nothing to remember": {
		`"remember": {}, "etag": {"mode": "off", "existing": "remove"}, "last_modified": {"mode": "remove"}`, okApp,
		`remember keeps validators, and none is left`,
	},
	"first_seen, etag off": {`"etag": {"mode": "off"}, "last_modified": {"from": [{"first_seen": true}]}`, okApp, `last_modified from first_seen dates entity tags`},
	"first_seen, header":   {`"last_modified": {"from": [{"first_seen": true, "header": "X-A"}]}`, okApp, `a source is one of header, json, file and first_seen`},
	"first_seen, layout":   {`"last_modified": {"from": [{"first_seen": true, "layout": "2006-01-02"}]}`, okApp, `first_seen is no date of the response`},
	"first_seen twice":     {`"last_modified": {"from": [{"first_seen": true}, {"first_seen": true}]}`, okApp, `first_seen is given twice`},
	"first_seen false":     {`"last_modified": {"from": [{"first_seen": false}]}`, okApp, `a source is one of header, json and file`},

	"row with two selectors":    {`"cache_control": [{"path": "/a", "media_type": "text/html", "directives": ["public"]}]`, okApp, `cache_control[0]: one line has one kind of selector`},
	"row without directives":    {`"cache_control": [{"directives": ["public"], "path": "/a"}, {}]`, okApp, `cache_control[1]: at least one directive is needed`},
	"row contradicts itself":    {`"cache_control": [{"directives": ["public, private"]}]`, okApp, `cache_control[0]: public and private contradict`},
	"row with an empty word":    {`"cache_control": [{"directives": ["public", ""]}]`, okApp, `cache_control[0]: an empty word`},
	"row of a relative path":    {`"cache_control": [{"path": "*.css", "directives": ["public"]}]`, okApp, `cache_control[0]: path "*.css" has to begin with a slash`},
	"row below a wider one":     {`"cache_control": [{"path": "/*", "directives": ["public"]}, {"path": "/a", "directives": ["no-cache"]}]`, okApp, `cache_control /a: never applies`},
	"row of no matcher":         {`"cache_control": [{"response_matcher": "a", "directives": ["public"]}]`, okApp, `cache_control @a: no response matcher`},
	"matcher of every response": {`"response_matchers": {"a": {}}`, okApp, `response matcher @a matches everything`},
	"matcher of status 999":     {`"response_matchers": {"a": {"status_code": [404, 999]}}`, okApp, `response matcher @a: 999 is not`},
	"matcher of 1xx":            {`"response_matchers": {"a": {"status_code": [1]}}`, okApp, `response matcher @a: 1 is not`},
	"max_body negative":         {`"buffer": {"max_body": -1}`, okApp, `max_body has to be a size above zero`},
	"max_total negative":        {``, `{"max_total": -1}`, `max_total has to be a size above zero`},
	"guard_writes, etag auto":   {`"guard_writes": {}`, okApp, `guard_writes needs etag strong: etag auto`},
	"guard_writes, etag weak":   {`"etag": {"mode": "weak"}, "guard_writes": {"require": true}`, okApp, `guard_writes needs etag strong: etag weak`},
	"guard_writes of GET":       {`"etag": {"mode": "strong"}, "guard_writes": {"methods": ["GET"]}`, okApp, `guard_writes: GET is no write`},
	"guard_writes, twice":       {`"etag": {"mode": "strong"}, "guard_writes": {"methods": ["PUT", "PUT"]}`, okApp, `guard_writes: PUT is named twice`},
	"guard_writes, lower case":  {`"etag": {"mode": "strong"}, "guard_writes": {"methods": ["put"]}`, okApp, `not a method, as these are in capitals`},
	"guard_writes, a word":      {`"guard_writes": "PUT"`, okApp, `guard_writes`},
	"mandatory field dropped":   {`"not_modified": {"drop": ["Vary"]}`, okApp, `not_modified: Vary cannot be dropped`},
	"no field name":             {`"not_modified": {"keep": [""]}`, okApp, `not_modified: "" is not a field name`},
}

// TestWrongJSON: configurations that come as JSON are held to the same rules, and an error names the field.
func TestWrongJSON(t *testing.T) {
	for name, c := range wrongJSON {
		t.Run(name, func(t *testing.T) {
			err := validate(configOf(c.handler, c.app))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "conditional_cache") || internals.MatchString(err.Error()) {
				t.Errorf("got %v; want an error of conditional_cache with %q", err, c.want)
			}
		})
	}
	for _, handler := range rightJSON {
		if err := validate(configOf(handler, okApp)); err != nil {
			t.Errorf("without anything wrong: %s: %v", handler, err)
		}
	}
}

// rightJSON are members of a handler that have nothing wrong.
var rightJSON = []string{
	``,
	`"buffer": {"max_delay": "off"}`,
	`"buffer": {"max_delay": "1s", "MAX_BODY": 1}`, // Go does not tell capitals
	`"cache_control": [{"path": ["/a", "/b/*"], "directives": ["no-cache"]}, {"media_type": "text/css", "off": true}]`,
	`"etag": null, "remember": {"store": {"name": "memory"}}`,
}

// configOf is a configuration with one handler and the app.
func configOf(handler, app string) []byte {
	if handler != "" {
		handler = ", " + handler
	}
	return fmt.Appendf(nil, `{"apps": {"conditional_cache": %s, "http": {"servers": {"one": {
		"listen": ["127.0.0.1:0"], "routes": [{"handle": [{"handler": "conditional_cache"%s}]}]}}}}}`, app, handler)
}

// FuzzUnmarshalCaddyfile: no Caddyfile makes the parser panic; a refusal names file and line once; what
// is accepted survives being written as JSON, and provisions unless a placeholder has no value.
func FuzzUnmarshalCaddyfile(f *testing.F) {
	for _, folder := range []string{"good", "wrong"} {
		for _, file := range adaptFiles(f, folder, 1) {
			f.Add(file.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil {
			t.Skip("no Caddyfile")
		}
		for i, token := range tokens {
			if token.Text == "conditional_cache" {
				unmarshalAndProvision(t, directive(tokens[i:]))
			}
		}
	})
}

// directive is what Caddy hands to UnmarshalCaddyfile: one segment, without the matcher.
func directive(tokens []caddyfile.Token) *caddyfile.Dispenser {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	d = d.NewFromNextSegment()
	d.Next()
	if d.NextArg() && strings.ContainsAny(d.Val()[:min(1, len(d.Val()))], "@/*") {
		d.Delete()
	}
	d.Reset()
	return d
}

func unmarshalAndProvision(t *testing.T, d *caddyfile.Dispenser) {
	t.Helper()
	h := new(conditionalcache.Handler)
	if err := h.UnmarshalCaddyfile(d); err != nil {
		if !lineNamed.MatchString(err.Error()) {
			t.Errorf("names no line: %v", err)
		}
		return
	}
	written, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	read := new(conditionalcache.Handler)
	if err := caddy.StrictUnmarshalJSON(written, read); err != nil {
		t.Fatalf("cannot be read back: %v\n%s", err, written)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := read.Provision(ctx); err != nil && !strings.Contains(err.Error(), "placeholder") {
		t.Errorf("adapts, but does not provision: %v\n%s", err, written)
	}
}

// adaptFile is a Caddyfile of testdata/adapt; its path is without the extension, as its golden's.
type adaptFile struct{ path, text string }

// adaptFiles reads a folder of testdata/adapt, which has to hold least files or more. A golden that no
// Caddyfile belongs to fails.
func adaptFiles(tb testing.TB, folder string, least int) map[string]adaptFile {
	tb.Helper()
	const ext = ".caddyfile"
	entries, err := os.ReadDir(filepath.Join("testdata", "adapt", folder))
	if err != nil {
		tb.Fatal(err)
	}
	files := make(map[string]adaptFile)
	for _, entry := range entries {
		path := filepath.Join("testdata", "adapt", folder, entry.Name())
		base := strings.TrimSuffix(path, filepath.Ext(path))
		text, err := os.ReadFile(base + ext)
		if err != nil {
			tb.Errorf("%s belongs to no Caddyfile: %v", path, err)
			continue
		}
		files[filepath.Base(base)] = adaptFile{base, string(text)}
	}
	if len(files) < least {
		tb.Fatalf("%d Caddyfiles in %s, want %d", len(files), folder, least)
	}
	return files
}

func adapt(text string) ([]byte, []caddyconfig.Warning, error) {
	return caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
}

// validate does what `caddy validate` does: it provisions and starts nothing.
func validate(config []byte) error {
	c := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, c); err != nil {
		return err
	}
	return caddy.Validate(c)
}

// compareGolden compares with a golden file, or writes it under -update.
func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s:\n%s\nwant:\n%s", path, got, want)
	}
}

func indent(t *testing.T, config []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// handlersOf adapts a file of testdata/adapt/good and returns all handlers in it, outer ones first.
func handlersOf(t *testing.T, name string) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "adapt", "good", name+".caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	config, _, err := adapt(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Fatal(err)
	}
	return handlersIn(tree)
}

func handlersIn(node any) (all []map[string]any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			all = append(all, handlersIn(child)...)
		}
	case map[string]any:
		if _, is := node["handler"]; is {
			all = append(all, node)
		}
		for _, child := range node {
			all = append(all, handlersIn(child)...)
		}
	}
	return all
}
