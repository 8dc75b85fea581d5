package integration

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile.
type instruction struct {
	line int
	name string   // in capitals
	opts []string // --name=value
	rest string   // all behind them, on one line
}

// opt is the value of an option, or "".
func (i instruction) opt(name string) string {
	for _, o := range i.opts {
		if value, found := strings.CutPrefix(o, "--"+name+"="); found {
			return value
		}
	}
	return ""
}

// list is the words of the form ["word", …]; nil: it has another form.
func (i instruction) list() (words []string) {
	_ = json.Unmarshal([]byte(i.rest), &words)
	return words
}

// parseDockerfile reads instructions, whose lines go on behind a backslash.
func parseDockerfile(text string) (all []instruction) {
	var joined string
	begun := 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if joined == "" {
			begun = i + 1
		}
		part, goesOn := strings.CutSuffix(line, `\`)
		joined += strings.TrimSpace(part) + " "
		if goesOn {
			continue
		}
		words := strings.Fields(joined)
		next := instruction{line: begun, name: strings.ToUpper(words[0])}
		rest := strings.TrimSpace(joined[len(words[0]):])
		for _, word := range words[1:] {
			if !strings.HasPrefix(word, "--") {
				break
			}
			next.opts = append(next.opts, word)
			rest = strings.TrimSpace(strings.TrimPrefix(rest, word))
		}
		next.rest = rest
		all, joined = append(all, next), ""
	}
	return all
}

// stage is what begins with a FROM.
type stage struct {
	base, name   string
	instructions []instruction
}

func stagesOf(all []instruction) (stages []stage) {
	for _, i := range all {
		if i.name == "FROM" {
			base, name, _ := strings.Cut(i.rest, " AS ")
			stages = append(stages, stage{base: base, name: strings.TrimSpace(name)})
		}
		if len(stages) > 0 {
			last := &stages[len(stages)-1]
			last.instructions = append(last.instructions, i)
		}
	}
	return stages
}

// of are the instructions of one name.
func (s stage) of(name string) (found []instruction) {
	for _, i := range s.instructions {
		if i.name == name {
			found = append(found, i)
		}
	}
	return found
}

var (
	taggedImage = regexp.MustCompile(`^[a-z0-9./_-]+:[A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$`)
	commandWord = regexp.MustCompile(`(?:^|[;&|] *)(sudo|cd|apt-get (?:dist-)?upgrade|apk upgrade|ssh|curl|wget) `)
)

// lintDockerfile finds what the main rules of hadolint find: DL3000, 3002 to 3007, 3011, 3012, 3017, 3020, 3022, 3024, 3025,
// 3059, 4000, 4003; and a last stage without CMD, HEALTHCHECK or USER.
func lintDockerfile(text string) (found problems) {
	stages := stagesOf(parseDockerfile(text))
	if len(stages) == 0 {
		found.addf("no FROM")
		return found
	}
	var names []string
	for _, s := range stages {
		if s.base != "scratch" && !slices.Contains(names, s.base) && (!taggedImage.MatchString(s.base) || strings.Contains(s.base, ":latest")) {
			found.addf("%q has no tag of a version", s.base)
		}
		found = append(found, lintStage(s, names)...)
		if slices.Contains(names, s.name) && s.name != "" {
			found.addf("two stages are called %q", s.name)
		}
		names = append(names, s.name)
	}
	last := stages[len(stages)-1]
	for _, name := range []string{"CMD", "HEALTHCHECK", "USER"} {
		if len(last.of(name)) == 0 {
			found.addf("the last stage has no %s", name)
		}
	}
	if users := last.of("USER"); len(users) > 0 {
		if user, _, _ := strings.Cut(users[len(users)-1].rest, ":"); user == "root" || user == "0" {
			found.addf("it ends as root")
		}
	}
	return found
}

// lintStage looks at one stage behind those with some names.
func lintStage(s stage, names []string) (found problems) {
	for i, next := range s.instructions {
		if problem := next.problem(names); problem != "" {
			found.addf("line %d: %s", next.line, problem)
		}
		if i > 0 && next.name == "RUN" && s.instructions[i-1].name == "RUN" {
			found.addf("line %d: one RUN behind another", next.line)
		}
	}
	for _, name := range []string{"CMD", "ENTRYPOINT", "HEALTHCHECK"} {
		if len(s.of(name)) > 1 {
			found.addf("%s is there more than once", name)
		}
	}
	return found
}

// problem is what is wrong with one instruction, behind stages with some names; "": nothing.
func (i instruction) problem(names []string) string {
	switch i.name {
	case "FROM", "ARG", "ENV", "LABEL", "USER", "VOLUME", "STOPSIGNAL":
	case "WORKDIR":
		if !path.IsAbs(i.rest) {
			return "WORKDIR " + i.rest + " is relative"
		}
	case "COPY":
		if from := i.opt("from"); from != "" && !slices.Contains(names, from) {
			return fmt.Sprintf("there is no stage %q", from)
		}
	case "EXPOSE":
		for port := range strings.FieldsSeq(i.rest) {
			number, _, _ := strings.Cut(port, "/")
			if n, err := strconv.Atoi(number); err != nil || n < 1 || n > 65535 {
				return port + " is no port"
			}
		}
	case "RUN":
		if word := commandWord.FindString(i.rest); word != "" {
			return strings.TrimSpace(word) + " in a RUN"
		}
	case "CMD", "ENTRYPOINT", "HEALTHCHECK":
		if (instruction{rest: strings.TrimPrefix(i.rest, "CMD ")}).list() == nil {
			return i.name + " is not in the form of a list"
		}
	default:
		return i.name
	}
	return ""
}

const dockerfile = "examples/docker/Dockerfile"

func TestDockerfileLint(t *testing.T) {
	if found := lintDockerfile(readDoc(t, filepath.Join("..", dockerfile))); len(found) > 0 {
		t.Errorf("%s: %s", dockerfile, strings.Join(found, "; "))
	}
}

// TestDockerfileLintFindsFaults: with one fault in it, the Dockerfile is found fault with.
func TestDockerfileLintFindsFaults(t *testing.T) {
	text := readDoc(t, filepath.Join("..", dockerfile))
	for _, tt := range []struct{ old, with, want string }{
		{"golang:1.26", "golang", `"golang" has no tag`},
		{"golang:1.26", "golang:latest", `"golang:latest" has no tag`},
		{"WORKDIR /srv", "WORKDIR srv", "is relative"},
		{"COPY . .", "ADD . .", "ADD"},
		{"USER 65532:65532", "USER 65532\nUSER root", "ends as root"},
		{"USER 65532:65532\n", "", "no USER"},
		{"CMD [\"caddy\", \"run\"", "CMD [\"caddy\"]\nCMD [\"caddy\", \"run\"", "CMD is there more than once"},
		{`CMD ["caddy", "conditional-cache", "status"]`, "CMD caddy conditional-cache status", "form of a list"},
		{`["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]`, "caddy run", "form of a list"},
		{"--from=build", "--from=builder", `no stage "builder"`},
		{"EXPOSE 80 ", "EXPOSE 80000 ", "no port"},
		{"RUN mkdir", "RUN cd / && mkdir", "cd in a RUN"},
		{"WORKDIR /src\nCOPY . .\nARG TARGETOS\nARG TARGETARCH\n", "", "one RUN behind another"},
		{"FROM scratch", "FROM scratch AS build", "two stages"},
		{"FROM scratch", "FROM scratch\nMAINTAINER nobody", "MAINTAINER"},
	} {
		faulty := strings.Replace(text, tt.old, tt.with, 1)
		if found := strings.Join(lintDockerfile(faulty), "; "); faulty == text || !strings.Contains(found, tt.want) {
			t.Errorf("%q in place of %q: found %q, want %q", tt.with, tt.old, found, tt.want)
		}
	}
}
