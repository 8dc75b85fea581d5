package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap/zapcore"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// bare is an option without the guard.
func bare(option rueidis.ClientOption) rueidis.ClientOption {
	option.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return option
}

// undress has a node use a client without the guard.
func (n *node) undress() {
	n.t.Helper()
	client, err := rueidis.NewClient(bare(n.clientOption(false)))
	if err != nil {
		n.t.Fatal(err)
	}
	(*n.client.Swap(&client)).Close()
}

const victimOf = "CONDITIONAL_CACHE_VICTIM"

// victim runs a test of these, which end the process if the client panics, in a process of its own.
func victim(t *testing.T, test string, args ...string) *exec.Cmd {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v") //nolint:gosec // this test
	process.Env = append(os.Environ(), victimOf+"="+strings.Join(args, "\x1f"))
	return process
}

// asVictim returns what victim was given.
func asVictim(t *testing.T) []string {
	t.Helper()
	args := os.Getenv(victimOf)
	if args == "" {
		t.Skip("runs in a process of its own")
	}
	return strings.Split(args, "\x1f")
}

func TestVictimOfAnUnaskedAnswer(t *testing.T) {
	args := asVictim(t)
	n := join(t, optionsFor(args[0]))
	if args[1] == "bare" {
		n.undress()
	}
	key := newKey("a.example", "/")
	n.remember(key)
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	eventually(t, "a record is found", func() bool { return n.trySave(key) == nil && n.found(key) })
	_, _ = os.Stdout.WriteString("alive\n")
}

// An answer that nobody asked for ends a process whose connection is not guarded.
func TestUnaskedAnswer(t *testing.T) {
	s := startServer(t)
	for how, survives := range map[string]bool{"bare": false, "guarded": true} {
		t.Run(how, func(t *testing.T) {
			p := startProxy(t, s.address()).serve()
			process := victim(t, "TestVictimOfAnUnaskedAnswer", p.address(), how)
			var stderr strings.Builder
			process.Stderr = &stderr
			stdin, _ := process.StdinPipe()
			stdout, _ := process.StdoutPipe()
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			awaitLine(lines, "ready")
			p.say(okay)
			if survives {
				stdin.Close() // the bare one ends by itself
			}
			isAlive := awaitLine(lines, "alive")
			_, _ = io.Copy(io.Discard, stdout)
			if err := process.Wait(); (err == nil && isAlive) != survives {
				t.Errorf("alive %t, %v, %s", isAlive, err, stderr.String())
			}
			if isBug := strings.Contains(stderr.String(), "protocol bug"); isBug == survives {
				t.Errorf("it ended with %s", stderr.String())
			}
		})
	}
}

func awaitLine(lines *bufio.Scanner, line string) bool {
	for lines.Scan() {
		if lines.Text() == line {
			return true
		}
	}
	return false
}

// scripted is a server that does as it should, up to a command at which it says something else.
type scripted struct {
	greeting string
	at       string // the name of the command
	say      string
	before   string // each answer
	inMulti  bool
}

// saying is a server that says something else to one command.
func saying(at, say string) scripted { return scripted{greeting: greets7, at: at, say: say} }

func (s *scripted) serve(conn net.Conn) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		command, err := readCommand(in)
		if err != nil {
			return
		}
		answer := s.before + s.answer(command)
		if command[0] == s.at {
			answer = s.say
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func (s *scripted) answer(command []string) string {
	switch command[0] {
	case "HELLO":
		return s.greeting
	case "MULTI":
		s.inMulti = true
	case "EXEC":
		s.inMulti = false
		return "*2\r\n:-1\r\n$1\r\nx\r\n"
	case "PTTL", "GET":
		if s.inMulti {
			return "+QUEUED\r\n"
		}
		return "$-1\r\n"
	case "PING":
		return "+PONG\r\n"
	case "ROLE":
		return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
	case "CLUSTER":
		return "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:1\r\n"
	case "SENTINEL":
		if command[1] == "SENTINELS" {
			return "*0\r\n"
		}
		return "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n"
	case "SUBSCRIBE":
		return confirmations(command)
	case "UNSUBSCRIBE":
		return strings.ReplaceAll(confirmations(command), "subscribe", "unsubscribe")
	}
	return okay
}

func confirmations(command []string) string {
	var b strings.Builder
	for i, channel := range command[1:] {
		fmt.Fprintf(&b, ">3\r\n+subscribe\r\n+%s\r\n:%d\r\n", channel, i+1)
	}
	return b.String()
}

const (
	greets7 = "%2\r\n+version\r\n+7.0.1\r\n+proto\r\n:3\r\n"
	greets6 = "%2\r\n+version\r\n+6.2.1\r\n+proto\r\n:3\r\n"
)

// meet is what a store connects with, to a scripted server.
func meet(isBare bool, script scripted) rueidis.ClientOption {
	option := newStore(optionsFor("127.0.0.1:1")).clientOption(false)
	option.DialCtxFn = func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
		here, there := net.Pipe()
		server := script
		go server.serve(there)
		if isBare {
			return here, nil
		}
		return newGuard(here), nil
	}
	return option
}

// play has a client of one of three kinds talk to a scripted server.
func play(kind string, isBare bool, script scripted) {
	option := meet(isBare, script)
	switch kind {
	case "cluster":
		option.ForceSingleClient = false
	case "sentinel":
		option.Sentinel.MasterSet = "x"
		option.Sentinel.TopologyRefreshInterval = 10 * time.Millisecond
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return
	}
	defer client.Close()
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		client.DoMultiCache(ctx, rueidis.CT(client.B().Get().Key("{a}1").Cache(), time.Hour), rueidis.CT(client.B().Get().Key("{a}2").Cache(), time.Hour))
		client.DoCache(ctx, client.B().Get().Key("{a}3").Cache(), time.Hour)
		client.DoMulti(ctx, client.B().Get().Key("{a}4").Build(), client.B().Exists().Key("{a}4").Build())
		cancel()
	}
}

// deadly is what ends a process whose connection is not guarded. So do lists nested some millions deep, for which it takes
// too long to be tried each time.
var deadly = map[string]struct {
	kind   string
	script scripted
}{
	"unasked":                  {"single", saying("GET", "$-1\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n")},
	"null push":                {"single", saying("EXISTS", ":1\r\n>-1\r\n")},
	"negative text":            {"single", saying("GET", "$-2\r\n")},
	"negative map":             {"single", saying("GET", "%-1\r\n")},
	"negative list":            {"single", saying("GET", "*-2\r\n")},
	"negative attributes":      {"single", saying("GET", "|-1\r\n")},
	"huge text":                {"single", saying("GET", "$9223372036854775807\r\n")},
	"huge list":                {"single", saying("GET", "*4611686018427387904\r\n")},
	"overflown":                {"single", saying("GET", "$18446744073709551614\r\n")},
	"negative part":            {"single", saying("GET", "$?\r\n;-5\r\n")},
	"confirmed":                {"single", saying("EXISTS", confirmed1)},
	"transaction of none":      {"single", saying("EXEC", "*0\r\n")},
	"transaction of one":       {"single", saying("EXEC", "*1\r\n:1\r\n")},
	"Redis 6, late":            {"single", scripted{greeting: greets6, at: "EXEC", say: "*2\r\n:1\r\n" + invalidA + invalidA + "$1\r\nx\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"}},
	"moved to nowhere":         {"cluster", saying("EXISTS", "-MOVED\r\n")},
	"asked nowhere":            {"cluster", saying("EXEC", "*2\r\n:1\r\n-ERR ASK 1\r\n")},
	"role of nobody":           {"sentinel", saying("ROLE", "*0\r\n")},
	"address of nobody":        {"sentinel", saying("SENTINEL", "*0\r\n")},
	"message about a sentinel": {"sentinel", saying("SUBSCRIBE", strings.ReplaceAll(confirmations([]string{"", "+sentinel", "", "", "", "", ""}), "++", "+")+">3\r\n+message\r\n$9\r\n+sentinel\r\n+a\r\n")},
	"subscribed later":         {"sentinel", saying("SUBSCRIBE", "+QUEUED\r\n")},
	"withdrawn later":          {"sentinel", saying("UNSUBSCRIBE", "+QUEUED\r\n")},
	"no sign of life":          {"sentinel", saying("UNSUBSCRIBE", "-ERR no\r\n+OK\r\n")},
}

func TestVictimOfAScript(t *testing.T) {
	args := asVictim(t)
	script := deadly[args[0]]
	for range 20 {
		play(script.kind, true, script.script)
	}
}

func TestVictimOfAllScripts(t *testing.T) {
	seed, err := strconv.ParseUint(asVictim(t)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var plays sync.WaitGroup
	for range 3 {
		for _, script := range deadly {
			plays.Go(func() { play(script.kind, false, script.script) })
		}
	}
	plays.Wait()
	chance := rand.New(rand.NewPCG(seed, 1))
	for range 10 {
		for range 50 {
			kind, script := anyScript(chance)
			plays.Go(func() { play(kind, false, script) })
		}
		plays.Wait()
	}
	_, _ = os.Stdout.WriteString("alive\n")
}

// anyScript is a server that says this and that.
func anyScript(chance *rand.Rand) (kind string, script scripted) {
	pick := func(from ...string) string { return from[chance.IntN(len(from))] }
	var say strings.Builder
	for range 1 + chance.IntN(8) {
		say.WriteString(pick("+OK\r\n", "+QUEUED\r\n", "+PONG\r\n", ":1\r\n", "$1\r\nx\r\n", "$-1\r\n", "_\r\n", "-ERR no\r\n", "-QUEUED\r\n", "-MOVED 1\r\n",
			"-MOVED 1 127.0.0.1:2\r\n", "-ASK 1 :1\r\n", "-LOADING\r\n", "*0\r\n", "*1\r\n", "*2\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "*-1\r\n", "%0\r\n", "%1\r\n", "~1\r\n", "|1\r\n", "|0\r\n",
			">0\r\n", ">1\r\n", ">2\r\n", ">3\r\n", "+invalidate\r\n", "+subscribe\r\n", "+unsubscribe\r\n", "+message\r\n", "+pong\r\n", "+version\r\n", "+6.0\r\n", "#t\r\n", "#\r\n",
			",1\r\n", "(1\r\n", "=1\r\na\r\n", "!5\r\nMOVED\r\n", invalidA, confirmed1, withdrawn1, greets6, "$?\r\n", ";0\r\n", ".\r\n", ">-1\r\n"))
	}
	script = scripted{greeting: pick(greets6, greets7)}
	if chance.IntN(2) == 0 { // nearly as it should be, so that more of it comes through
		script.before = pick("", invalidA, "|1\r\n+a\r\n*1\r\n:1\r\n") + pick("", ">2\r\n+x\r\n:1\r\n", withdrawn1, ">3\r\n+message\r\n+a\r\n+a b c d\r\n", ">2\r\n+invalidate\r\n_\r\n")
		script.at, script.say = "EXEC", pick("*2\r\n", "*2\r\n"+invalidA, "*2\r\n|0\r\n:1\r\n")+pick(":-2\r\n_\r\n", "-ERR no\r\n+x\r\n", ",1\r\n(1\r\n", "#t\r\n"+invalidA+"$-1\r\n")
	} else {
		script.say = say.String()
		script.at = pick("HELLO", "CLIENT", "MULTI", "PTTL", "GET", "EXEC", "EXISTS", "PING", "ROLE", "CLUSTER", "SENTINEL", "SUBSCRIBE", "UNSUBSCRIBE")
	}
	return pick("single", "cluster", "sentinel"), script
}

// What ends a process without the guard does not with it, nor does anything else that was thought of.
func TestClientSurvives(t *testing.T) {
	output, err := victim(t, "TestVictimOfAllScripts", strconv.FormatUint(rand.Uint64(), 10)).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "alive") {
		t.Errorf("guarded: %v\n%s", err, output)
	}
	if testing.Short() {
		t.Skip("each of the others takes a process")
	}
	for name := range deadly {
		t.Run(name, func(t *testing.T) {
			output, err := victim(t, "TestVictimOfAScript", name).CombinedOutput()
			if text := string(output); err == nil || !strings.Contains(text, "panic: ") && !strings.Contains(text, "fatal error: ") {
				t.Errorf("is not deadly any more: %v\n%s", err, text)
			}
		})
	}
}

// Redis 6 sends what has changed among the answers of a transaction, which is no reason to end the connection.
func TestRedis6(t *testing.T) {
	for _, exec := range []string{"*2\r\n" + invalidA + ":-1\r\n$1\r\nx\r\n", "*2\r\n:-1\r\n" + invalidA + "$1\r\nx\r\n"} {
		client, err := rueidis.NewClient(meet(false, scripted{greeting: greets6, at: "EXEC", say: exec}))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a", "b", "c"} {
			if text, err := client.DoCache(t.Context(), client.B().Get().Key(key).Cache(), time.Hour).ToString(); text != "x" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		}
		client.Close()
	}
}

// Whatever a server mixes among its answers, calls come back, and the store is back once it has stopped.
func TestServerThatMixesRubbishIn(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.address())
	n := join(t, hurried(p.serve().address()))
	began := time.Now()
	for name, rubbish := range map[string]string{
		"an answer": okay, "an error": "-ERR no\r\n", "zeros": strings.Repeat("\x00", 100), "HTTP": "HTTP/1.1 400 Bad Request\r\n\r\n", "a null": "$-1\r\n",
		"a push": confirmed1, "an empty push": ">0\r\n", "a huge length": "$9999999999999\r\n", "a negative length": "*-5\r\n", "a line without end": "+" + strings.Repeat("x", 100),
		"the end of a line": "\r\n", "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			garble := func(part []byte) []byte {
				at := rand.N(len(part) + 1)
				if at%4 != 0 || at%10 == 0 { // so that it also comes up
					return part
				}
				cut := at
				if name == "nothing" {
					cut = max(at-1, 0)
				}
				return append(append(append([]byte(nil), part[:cut]...), rubbish...), part[at:]...)
			}
			p.garble.Store(&garble)
			before := n.Stats()
			var requests sync.WaitGroup
			for i := range 8 {
				requests.Go(func() { n.ask100(t, i) })
			}
			requests.Wait()
			if n.Stats().Errors == before.Errors {
				t.Error("no call has failed, so nothing was tried")
			}
			p.garble.Store(nil)
			key := newKey("a.example", "/")
			eventually(t, "the store is back", func() bool { return n.trySave(key) == nil && n.found(key) })
		})
	}
	if lines := n.lines(zapcore.WarnLevel); len(lines) > int(time.Since(began)/quiet)+1 {
		t.Errorf("logged %q", lines)
	}
}

// ask100 makes a hundred calls, which may fail but have to come back.
func (n *node) ask100(t *testing.T, i int) {
	t.Helper()
	for j := range 100 {
		key := newKey("a.example", fmt.Sprint("/", i, "/", j))
		inTime(t, defaultTimeout, func() {
			if err := n.trySave(key); err != nil && !errors.Is(err, validators.ErrUnavailable) {
				t.Error(err)
			}
		})
		if j%10 == 0 {
			<-time.After(time.Millisecond) // so that what is left alone is looked for meanwhile
		}
	}
}

func TestGuardRefusesWhatIsNoCommand(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	g := newGuard(here)
	defer g.Close()
	if n, err := g.Write([]byte("PING\r\n")); n != 0 || !errors.Is(err, errNoCommand) {
		t.Errorf("%d octets, %v", n, err)
	}
}

// What is good comes through before the error, which stays, and the connection is closed.
func TestGuardClosesTheConnection(t *testing.T) {
	here, there := net.Pipe()
	g := newGuard(here)
	go func() {
		_, _ = readCommand(bufio.NewReader(there))
		_, _ = io.WriteString(there, "$1\r\na\r\n+OK\r\n")
	}()
	if _, err := io.WriteString(g, written("GET a")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(g)
	if string(answer) != "$1\r\na\r\n" || !errors.Is(err, errUnasked) {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err := io.WriteString(there, "+"); err == nil {
		t.Error("the connection is not closed")
	}
}
