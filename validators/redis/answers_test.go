package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// written is a command as the client writes it.
func written(command string) string {
	words := strings.Split(command, " ")
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

// converse has the client write what begins with "> ", and the server say the rest, in pieces as cut says. It returns
// how many octets of the server were good.
func converse(tb testing.TB, conversation []string, cut func(text string) int) (good int, err error) {
	tb.Helper()
	var a answers
	for _, part := range conversation {
		text, isCommand := strings.CutPrefix(part, "> ")
		if isCommand {
			text = written(text)
		}
		for text != "" && err == nil {
			piece := text[:cut(text)]
			text = text[len(piece):]
			if isCommand {
				if err := a.command.read([]byte(piece), &a.questions); err != nil {
					tb.Fatal(err)
				}
				continue
			}
			var n int
			n, err = a.read([]byte(piece))
			good += n
		}
	}
	return good, err
}

// cuts are ways to cut a text.
var cuts = map[string]func(text string) int{
	"whole":   func(text string) int { return len(text) },
	"octets":  func(string) int { return 1 },
	"at will": func(text string) int { return 1 + rand.N(len(text)) },
}

const (
	okay       = "+OK\r\n"
	queued     = okay + okay + "+QUEUED\r\n+QUEUED\r\n"
	invalidA   = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"
	greeting7  = "%2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$7\r\nmodules\r\n*1\r\n%1\r\n$4\r\nname\r\n*0\r\n"
	greeting6  = "%2\r\n+version\r\n$5\r\n6.2.1\r\n$5\r\nproto\r\n:3\r\n"
	greetingR2 = "*4\r\n$7\r\nversion\r\n$5\r\n5.0.1\r\n$5\r\nproto\r\n:2\r\n"
	confirmed1 = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	withdrawn1 = ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"
)

// The commands of a copy that is read.
var reads = []string{"> CLIENT CACHING YES", "> MULTI", "> PTTL a", "> GET a", "> EXEC", queued}

func after(before []string, said ...string) []string {
	return append(slices.Clip(before), said...)
}

func TestAnswersThatAreGood(t *testing.T) {
	bulk := func(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("x", n)) }
	for name, conversation := range map[string][]string{
		"all kinds of one":          {"> A", "> B", "> C", "> D", "> E", "> F", "> G", "> H", "+\r\n", "-ERR no\r\n", ":-5\r\n", "$0\r\n\r\n", "$-1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n"},
		"rarer kinds of one":        {"> A", "> B", "> C", "(12345678901234567890\r\n", "=7\r\ntxt:a\r\n\r\n", "!5\r\nERR x\r\n"},
		"texts with line ends":      {"> GET a", "$6\r\n\r\n+x\r\n\r\n"},
		"pipelined":                 {"> GET a", "> GET b", "$1\r\na\r\n$1\r\nb\r\n", "> GET c", "$-1\r\n"},
		"a copy":                    after(reads, "*2\r\n:-1\r\n$1\r\nx\r\n"),
		"a copy of nothing":         after(reads, "*2\r\n:-2\r\n_\r\n"),
		"a copy of another type":    after(reads, "*2\r\n:-1\r\n-WRONGTYPE no\r\n"),
		"a transaction refused":     after(reads, "-EXECABORT no\r\n"),
		"a transaction given up":    after(reads, "_\r\n"),
		"given up as of RESP2":      after(reads, "*-1\r\n"),
		"a change":                  {invalidA, "> GET a", invalidA, "$-1\r\n", invalidA},
		"all have changed":          {">2\r\n$10\r\ninvalidate\r\n_\r\n", ">2\r\n+invalidate\r\n*-1\r\n"},
		"pushed and not known":      {">3\r\n$6\r\nMOVING\r\n:1\r\n*1\r\n%0\r\n", ">1\r\n+x\r\n"},
		"attributes":                {"> GET a", "|1\r\n+ttl\r\n*1\r\n:5\r\n|0\r\n$-1\r\n", "|1\r\n+a\r\n_\r\n" + invalidA},
		"attributes within":         after(reads, "*2\r\n|1\r\n+a\r\n+b\r\n:-1\r\n|0\r\n$1\r\nx\r\n"),
		"greeting of RESP3":         {"> HELLO 3", greeting7},
		"greeting of RESP2":         {"> HELLO 3", "> HELLO 2", "-ERR unknown command\r\n", greetingR2},
		"Redis 6, within":           after(after([]string{"> HELLO 3", greeting6}, reads...), "*2\r\n:-2\r\n"+invalidA+"_\r\n", "> GET a", "$-1\r\n"),
		"Redis 6, first":            after(after([]string{"> HELLO 3", greeting6}, reads...), "*2\r\n"+invalidA+":-2\r\n_\r\n", "> GET a", "$-1\r\n"),
		"sentinel":                  {"> SENTINEL SENTINELS x", "> SENTINEL GET-MASTER-ADDR-BY-NAME x", "*1\r\n%1\r\n+ip\r\n+::1\r\n*2\r\n+a\r\n+1\r\n"},
		"sentinel that knows none":  {"> SENTINEL GET-MASTER-ADDR-BY-NAME x", "*-1\r\n"},
		"role":                      {"> ROLE", "*3\r\n+master\r\n:5\r\n*0\r\n"},
		"cluster":                   {"> CLUSTER SLOTS", "> CLUSTER SHARDS", "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n+a\r\n:1\r\n+id\r\n*0\r\n", "*1\r\n%1\r\n+nodes\r\n*1\r\n%1\r\n+port\r\n:1\r\n"},
		"redirections":              {"> A", "> B", "> C", "-MOVED 1 127.0.0.1:5\r\n", "-ASK 1 :5\r\n", "-ERR MOVED 1 a:5\r\n"},
		"subscribed":                {"> SUBSCRIBE a b", "> PING", confirmed1 + confirmed1 + "+PONG\r\n", ">3\r\n+message\r\n+a\r\n$12\r\nmaster x 1 2\r\n"},
		"a new primary":             {"> SUBSCRIBE a", confirmed1, ">3\r\n+message\r\n+switch-master\r\n+x 1 2 3 4\r\n", ">3\r\n+message\r\n$14\r\n+switch-master\r\n+x 1 2 3 4\r\n"},
		"subscribing is refused":    {"> SUBSCRIBE a", "-NOPERM no\r\n"},
		"unsubscribed":              {"> UNSUBSCRIBE a b", "> PING", withdrawn1 + withdrawn1 + "+PONG\r\n"},
		"nothing to withdraw":       {"> UNSUBSCRIBE", "> PING", ">3\r\n+unsubscribe\r\n_\r\n:0\r\n+PONG\r\n"},
		"withdrawing is refused":    {"> UNSUBSCRIBE a", "> PING", "> GET a", "-NOPERM 'unsubscribe'\r\n+PONG\r\n$-1\r\n"},
		"both are refused":          {"> UNSUBSCRIBE a", "> PING", "> GET a", "-NOPERM 'unsubscribe'\r\n-NOPERM 'ping'\r\n$-1\r\n"},
		"the sign of life refused":  {"> UNSUBSCRIBE a", "> PING", "> GET a", withdrawn1 + "-NOPERM 'ping'\r\n$-1\r\n"},
		"subscribed, RESP2":         {"> HELLO 2", greetingR2, "> SUBSCRIBE a b", "> PING", strings.ReplaceAll(confirmed1+confirmed1, ">", "*"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
		"unsubscribed, RESP2":       {"> UNSUBSCRIBE a", "> PING", strings.ReplaceAll(withdrawn1, ">", "*") + "+PONG\r\n"},
		"still subscribed, RESP2":   {"> UNSUBSCRIBE a", "> PING", strings.ReplaceAll(withdrawn1, ">", "*") + "*2\r\n+pong\r\n+\r\n"},
		"message, RESP2":            {"> SUBSCRIBE a", strings.ReplaceAll(confirmed1, ">", "*"), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$7\r\na b c d\r\n"},
		"the longest text":          {"> GET a", bulk(maxText)},
		"the longest line":          {"> GET a", "+" + strings.Repeat("x", maxLine) + "\r\n"},
		"the longest list":          {"> CLUSTER SLOTS", fmt.Sprintf("*%d\r\n", maxMembers) + strings.Repeat(":1\r\n", maxMembers)},
		"the deepest list":          {"> CLUSTER SLOTS", strings.Repeat("*1\r\n", maxDepth) + ":1\r\n"},
		"a cluster of 1,000 nodes":  {"> CLUSTER SLOTS", slotsOf(1000, 16384)},
		"shards of 1,000 nodes":     {"> CLUSTER SHARDS", shardsOf(1000)},
		"a cluster in 16,384 parts": {"> CLUSTER SLOTS", slotsOf(16384, 16384)},
	} {
		t.Run(name, func(t *testing.T) {
			for how, cut := range cuts {
				if how == "octets" && len(strings.Join(conversation, "")) > 1<<20 {
					continue
				}
				if good, err := converse(t, conversation, cut); err != nil {
					t.Errorf("%s: %v after %d octets", how, err, good)
				}
			}
		})
	}
}

// slotsOf is CLUSTER SLOTS of a cluster whose slots are in as many ranges, each on a primary and two replicas.
func slotsOf(ranges, slots int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", ranges)
	for i := range ranges {
		fmt.Fprintf(&b, "*5\r\n:%d\r\n:%d\r\n", i*slots/ranges, (i+1)*slots/ranges-1)
		for node := range 3 {
			name := fmt.Sprintf("%d.%d.cache.example.internal", node, i)
			fmt.Fprintf(&b, "*4\r\n$%d\r\n%s\r\n:6379\r\n$40\r\n%040d\r\n*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n", len(name), name, i)
		}
	}
	return b.String()
}

// shardsOf is CLUSTER SHARDS of a cluster of as many nodes, each with its own slots.
func shardsOf(nodes int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", nodes)
	for i := range nodes {
		fmt.Fprintf(&b, "%%2\r\n$5\r\nslots\r\n*2\r\n:%d\r\n:%d\r\n$5\r\nnodes\r\n*1\r\n%%6\r\n", i*16, i*16+15)
		for _, field := range []string{"id", "endpoint", "ip", "role", "health"} {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n$40\r\n%040d\r\n", len(field), field, i)
		}
		b.WriteString("$4\r\nport\r\n:6379\r\n")
	}
	return b.String()
}

// Each of these ends with the octet that is refused, and begins with what is good.
func TestAnswersThatAreRefused(t *testing.T) { //nolint:funlen // a table
	on6 := after([]string{"> HELLO 3", greeting6}, reads...)
	for name, c := range map[string]struct {
		conversation []string
		want         error
	}{
		"unasked":                          {[]string{"+"}, errUnasked},
		"unasked, later":                   {[]string{"> GET a", "$-1\r\n:"}, errUnasked},
		"unasked error":                    {[]string{"-"}, errUnasked},
		"unasked list":                     {[]string{"*"}, errUnasked},
		"unasked after attributes":         {[]string{"|1\r\n+a\r\n+b\r\n+"}, errUnasked},
		"null that looks like a push":      {[]string{">-1\r\n"}, errLength},
		"not RESP":                         {[]string{"> GET a", "H"}, errKind},
		"not RESP inside":                  {[]string{"> ROLE", "*2\r\nH"}, errType},
		"not RESP in attributes":           {[]string{"|1\r\n\x00"}, errType},
		"streamed text":                    {[]string{"> GET a", "$?"}, errNumber},
		"streamed list":                    {[]string{"> ROLE", "*?"}, errNumber},
		"part of a streamed text":          {[]string{"> CLUSTER SLOTS", "*1\r\n;"}, errType},
		"end of a streamed list":           {[]string{"> CLUSTER SLOTS", "*1\r\n."}, errType},
		"negative text":                    {[]string{"> GET a", "$-2\r\n"}, errLength},
		"negative error":                   {[]string{"> GET a", "!-1\r\n"}, errLength},
		"negative list":                    {[]string{"> ROLE", "*-2\r\n"}, errLength},
		"negative map":                     {[]string{"> HELLO 3", "%-1\r\n"}, errLength},
		"negative attributes":              {[]string{"|-1\r\n"}, errLength},
		"negative set":                     {[]string{"> CLUSTER SLOTS", "*1\r\n~-1\r\n"}, errLength},
		"number without digits":            {[]string{"> GET a", ":-\r\n"}, errNumber},
		"number with two signs":            {[]string{"> GET a", ":--"}, errNumber},
		"number with a letter":             {[]string{"> GET a", ":1a"}, errNumber},
		"number that is too long":          {[]string{"> GET a", ":12345678901234567890"}, errNumber},
		"length without digits":            {[]string{"> GET a", "$\r\n"}, errLength},
		"length beyond 64 bits":            {[]string{"> GET a", "$9999999999999999999\r\n"}, errLength},
		"length of which 64 bits are left": {[]string{"> GET a", "$18446744073709551621"}, errNumber},
		"text of 8 MiB and one":            {[]string{"> GET a", fmt.Sprintf("$%d\r\n", maxText+1)}, errLength},
		"list of 65,537":                   {[]string{"> CLUSTER SLOTS", fmt.Sprintf("*%d\r\n", maxMembers+1)}, errLength},
		"lists of many":                    {[]string{"> CLUSTER SLOTS", "*100\r\n" + strings.Repeat("*65536\r\n"+strings.Repeat("_\r\n", 65536), 15) + "*65536\r\n"}, errTooLong},
		"texts of many":                    {[]string{"> CLUSTER SLOTS", "*100\r\n" + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)), 15) + "$1048576\r\n"}, errTooLong},
		"lines of many":                    {[]string{"> CLUSTER SLOTS", "*999\r\n" + strings.Repeat("+"+strings.Repeat("x", 65000)+"\r\n", 259)}, errTooLong},
		"nested too deeply":                {[]string{"> CLUSTER SLOTS", strings.Repeat("*1\r\n", maxDepth+1)}, errDepth},
		"attributes nested too deeply":     {[]string{strings.Repeat("|1\r\n", maxDepth+1)}, errDepth},
		"line without a carriage return":   {[]string{"> GET a", "+OK\n"}, errLineEnd},
		"line without a line feed":         {[]string{"> GET a", "+OK\r\r"}, errLineEnd},
		"number without a line feed":       {[]string{"> GET a", ":5\rx"}, errLineEnd},
		"number without a carriage return": {[]string{"> GET a", ":5\n"}, errNumber},
		"text longer than it says":         {[]string{"> GET a", "$1\r\nab"}, errLineEnd},
		"text without a line feed":         {[]string{"> GET a", "$1\r\na\ra"}, errLineEnd},
		"endless line":                     {[]string{"> GET a", "+" + strings.Repeat("x", maxLine+1)}, errLength},
		"null with a text":                 {[]string{"> GET a", "_x\r\n"}, errShape},
		"neither true nor false":           {[]string{"> GET a", "#x\r\n"}, errShape},
		"true without a text":              {[]string{"> GET a", "#\r\n"}, errShape},
		"list for a text":                  {[]string{"> GET a", "*"}, errKind},
		"text for a transaction":           {after(reads, "+"), errKind},
		"transaction of one":               {after(reads, "*1\r\n"), errShape},
		"transaction of none":              {after(reads, "*0\r\n"), errShape},
		"transaction of three":             {after(reads, "*3\r\n"), errShape},
		"list in a transaction":            {after(reads, "*2\r\n:1\r\n*"), errShape},
		"role of nobody":                   {[]string{"> ROLE", "*0\r\n"}, errShape},
		"address of nobody":                {[]string{"> SENTINEL GET-MASTER-ADDR-BY-NAME x", "*1\r\n"}, errShape},
		"two versions":                     {[]string{"> HELLO 3", "%2\r\n+version\r\n+7.1\r\n+version\r\n"}, errShape},
		"version that is no text":          {[]string{"> HELLO 3", "%1\r\n+version\r\n,6\r\n"}, errShape},
		"moved to nowhere":                 {[]string{"> GET a", "-MOVED 1\r\n"}, errRedirect},
		"moved to nowhere, with ERR":       {[]string{"> GET a", "-ERR MOVED 1\r\n"}, errRedirect},
		"moved to nowhere, long error":     {[]string{"> GET a", "!5\r\nMOVED\r\n"}, errRedirect},
		"moved to nowhere, within":         {after(reads, "*2\r\n:1\r\n-ASK\r\n"), errRedirect},
		"redirected to nowhere":            {[]string{"> GET a", "-REDIRECT\r\n"}, errRedirect},
		"empty push":                       {[]string{">0\r\n"}, errShape},
		"push of a number":                 {[]string{">2\r\n:"}, errPush},
		"push of nothing":                  {[]string{">2\r\n$-1\r\n"}, errPush},
		"push in a push":                   {[]string{">2\r\n+x\r\n>"}, errPush},
		"push in a list":                   {[]string{"> ROLE", "*2\r\n>"}, errPush},
		"push in a transaction":            {after(reads, "*2\r\n>"), errShape},
		"push in one of Redis 7":           {after(after([]string{"> HELLO 3", greeting7}, reads...), "*2\r\n>"), errShape},
		"push too late for Redis 6":        {after(on6, "*2\r\n:1\r\n"+invalidA+">"), errShape},
		"another push for Redis 6":         {after(on6, "*2\r\n>3\r\n+message\r\n"), errPush},
		"unknown push for Redis 6":         {after(on6, "*2\r\n>1\r\n+x\r\n"), errPush},
		"change of a text":                 {[]string{">2\r\n+invalidate\r\n+"}, errPush},
		"change of a long text":            {[]string{">2\r\n+invalidate\r\n$1\r\na\r\n"}, errPush},
		"change of numbers":                {[]string{">2\r\n+invalidate\r\n*1\r\n:"}, errPush},
		"change of nothing known":          {[]string{">2\r\n+invalidate\r\n*1\r\n$-1\r\n"}, errPush},
		"change and more":                  {[]string{">3\r\n+invalidate\r\n"}, errPush},
		"confirmed, not asked":             {[]string{"> GET a", ">3\r\n$9\r\nsubscribe\r\n"}, errPush},
		"confirmed by pattern":             {[]string{"> SUBSCRIBE a", ">3\r\n$10\r\npsubscribe\r\n"}, errPush},
		"confirmed too often":              {[]string{"> SUBSCRIBE a", confirmed1 + confirmed1}, errPush},
		"confirmed before":                 {[]string{"> GET a", "> SUBSCRIBE a", confirmed1}, errPush},
		"confirmed when withdrawn":         {[]string{"> UNSUBSCRIBE a", "> PING", confirmed1}, errPush},
		"not confirmed":                    {[]string{"> SUBSCRIBE a", "+"}, errKind},
		"confirmed later":                  {[]string{"> SUBSCRIBE a", "-QUEUED\r\n"}, errKind},
		"withdrawn later":                  {[]string{"> UNSUBSCRIBE a", "> PING", "-QUEUED\r\n"}, errKind},
		"withdrawn with a text":            {[]string{"> UNSUBSCRIBE a", "> PING", "+OK\r\n"}, errKind},
		"no sign of life":                  {[]string{"> UNSUBSCRIBE a", "> PING", "-ERR\r\n+OK\r\n"}, errKind},
		"sign of life too many":            {[]string{"> UNSUBSCRIBE a", "> PING", withdrawn1 + "+PONG\r\n+"}, errUnasked},
		"sign of life not asked":           {[]string{"> SUBSCRIBE a", strings.ReplaceAll(confirmed1, ">", "*") + "*2\r\n+pong\r\n+\r\n"}, errUnasked},
		"unknown list, RESP2":              {[]string{"> SUBSCRIBE a", "*2\r\n+x\r\n"}, errPush},
		"empty list, RESP2":                {[]string{"> SUBSCRIBE a", "*0\r\n"}, errShape},
		"null list, RESP2":                 {[]string{"> SUBSCRIBE a", "*-1\r\n"}, errLength},
		"message of three words":           {[]string{"> SUBSCRIBE a", ">3\r\n+message\r\n+sentinel\r\n+a b c\r\n"}, errPush},
		"new primary in four words":        {[]string{"> SUBSCRIBE a", ">3\r\n+message\r\n$14\r\n+switch-master\r\n+a b c d\r\n"}, errPush},
		"message without a subscription":   {[]string{">3\r\n+message\r\n"}, errPush},
	} {
		t.Run(name, func(t *testing.T) {
			want := octetsSaid(c.conversation) - 1
			for how, cut := range cuts {
				if how == "octets" && want > 1<<20 {
					continue
				}
				good, err := converse(t, c.conversation, cut)
				if !errors.Is(err, c.want) || good != want {
					t.Errorf("%s: %d octets are good, want %d: %v", how, good, want, err)
				}
			}
		})
	}
}

// octetsSaid is how many octets the server says.
func octetsSaid(conversation []string) (octets int) {
	for _, part := range conversation {
		if !strings.HasPrefix(part, "> ") {
			octets += len(part)
		}
	}
	return octets
}

// What was refused once, stays refused, and what is read does not take memory.
func TestAnswersStayRefused(t *testing.T) {
	var a answers
	if _, err := a.read([]byte(okay)); !errors.Is(err, errUnasked) {
		t.Fatal(err)
	}
	_ = a.command.read([]byte(written("GET a")), &a.questions)
	if good, err := a.read([]byte(okay)); good != 0 || err == nil {
		t.Errorf("%d octets are good after others were refused", good)
	}
}

func TestAnswersDoNotAllocate(t *testing.T) {
	var a answers
	asked, said := []byte(strings.Repeat(readsWritten(), 3)), []byte(strings.Repeat(readsAnswered, 3))
	if allocated := testing.AllocsPerRun(1000, func() {
		_ = a.command.read(asked, &a.questions)
		if _, err := a.read(said); err != nil {
			t.Fatal(err)
		}
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

const readsAnswered = queued + "*2\r\n:60000\r\n$16\r\n0123456789abcdef\r\n"

func readsWritten() string {
	var b strings.Builder
	for _, command := range reads[:5] {
		b.WriteString(written(strings.TrimPrefix(command, "> ")))
	}
	return b.String()
}

// Commands that were answered are not kept, however long others are under way.
func TestQuestionsAreBounded(t *testing.T) {
	var q questions
	for range 1 << 20 {
		q.add(asked{})
		if q.len() > 10 {
			q.drop(1)
		}
	}
	if cap(q.list) > 1<<12 || q.len() != 10 {
		t.Errorf("room for %d questions, %d under way", cap(q.list), q.len())
	}
}

// FuzzAnswers holds that nothing panics, and that it does not depend on how octets are cut what is good of them.
func FuzzAnswers(f *testing.F) {
	commands := []string{
		"GET a", "EXEC", "HELLO 3", "HELLO 2", "CLUSTER SLOTS", "ROLE", "SENTINEL GET-MASTER-ADDR-BY-NAME x", "SUBSCRIBE a b", "UNSUBSCRIBE a", "PING",
	}
	f.Add([]byte{0, 9}, []byte("$1\r\na\r\n+PONG\r\n"+invalidA), uint64(1))
	f.Add([]byte{0, 0, 0, 0, 1}, []byte(readsAnswered), uint64(2))
	f.Add([]byte{2, 1}, []byte(greeting6+"*2\r\n"+invalidA+":-2\r\n_\r\n+"), uint64(3))
	f.Add([]byte{7, 8, 9, 0}, []byte(confirmed1+confirmed1+withdrawn1+"+PONG\r\n-MOVED 1\r\n"), uint64(4))
	f.Add([]byte{3, 7, 9}, []byte(greetingR2+strings.ReplaceAll(confirmed1+confirmed1, ">", "*")+"*2\r\n+pong\r\n+\r\n"), uint64(5))
	f.Add([]byte{4, 5, 6}, []byte("*1\r\n%1\r\n+a\r\n|1\r\n+b\r\n#t\r\n,1\r\n*2\r\n*-1\r\n=1\r\na\r\n!-1\r\n"), uint64(6))
	f.Fuzz(func(t *testing.T, picks, said []byte, seed uint64) {
		var conversation []string
		for _, pick := range picks[:min(len(picks), 20)] {
			conversation = append(conversation, "> "+commands[int(pick)%len(commands)])
		}
		if conversation = append(conversation, string(said)); strings.HasPrefix(string(said), "> ") {
			return // would be a command
		}
		chance := rand.New(rand.NewPCG(seed, 0))
		good, err := converse(t, conversation, cuts["whole"])
		inParts, errInParts := converse(t, conversation, func(text string) int { return 1 + chance.IntN(len(text)) })
		if good != inParts || !errors.Is(errInParts, err) {
			t.Errorf("%d octets are good, and %d in parts: %v, %v", good, inParts, err, errInParts)
		}
	})
}

func TestCommandsThatAreNone(t *testing.T) {
	for _, text := range []string{"PING\r\n", "*0\r\n", "*-1\r\n", "*1\r\n*1\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n", "$1\r\na\r\n", "*\r\n", "*1\rx"} {
		var c command
		if err := c.read([]byte(text), new(questions)); !errors.Is(err, errNoCommand) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
