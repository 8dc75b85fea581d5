package integration

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what is read of a workflow of GitHub's.
type workflow struct {
	Name        string            `yaml:"name"`
	On          map[string]any    `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		RunsOn      string            `yaml:"runs-on"`
		Minutes     int               `yaml:"timeout-minutes"`
		Permissions map[string]string `yaml:"permissions"`
		Steps       []workflowStep    `yaml:"steps"`
	} `yaml:"jobs"`
}

type workflowStep struct {
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
}

// pinnedActions are what workflows may use besides commands, each by a commit.
var pinnedActions = regexp.MustCompile(`^actions/(checkout|setup-go)@[0-9a-f]{40}$`)

// workflowProblems says what is wrong with the text of a workflow. goVersion is that of go.mod.
func workflowProblems(text, goVersion string) (found []string) {
	var w workflow
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		return []string{err.Error()}
	}
	if w.Name == "" || len(w.On) == 0 || len(w.Jobs) == 0 {
		found = append(found, "no name, no trigger or no jobs")
	}
	if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
		found = append(found, "it may do more than read the contents")
	}
	for name, job := range w.Jobs {
		if job.RunsOn == "" || job.Minutes == 0 || len(job.Steps) == 0 {
			found = append(found, name+": no machine, no time limit or no steps")
		}
		if len(job.Permissions) > 0 && w.Name != "release" {
			found = append(found, name+": it may do more than the workflow")
		}
		for _, step := range job.Steps {
			found = append(found, step.problems(name, goVersion)...)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, "uses:") && !regexp.MustCompile(`@[0-9a-f]{40} # v\d+\.\d+\.\d+$`).MatchString(line) {
			found = append(found, line+": the comment does not say which version that is")
		}
	}
	return found
}

func (s workflowStep) problems(job, goVersion string) (found []string) {
	switch {
	case (s.Uses == "") == (s.Run == ""):
		found = append(found, job+": a step that does not either use or run something")
	case s.Uses != "" && !pinnedActions.MatchString(s.Uses):
		found = append(found, job+": "+s.Uses+" is not one of two actions, by its commit")
	case strings.Contains(s.Run, "${{"):
		found = append(found, job+": an expression in a script, which may come from a stranger: "+s.Run)
	case strings.HasPrefix(s.Uses, "actions/checkout@") && s.With["persist-credentials"] != "false":
		found = append(found, job+": the credentials stay in the checkout")
	case strings.HasPrefix(s.Uses, "actions/setup-go@") && s.With["go-version"] != goVersion:
		found = append(found, job+": another Go than that of go.mod")
	}
	// On Windows, the first bash may be one that only says how to install it.
	if bash, err := exec.LookPath("bash"); err == nil && runtime.GOOS != "windows" && s.Run != "" {
		command := exec.Command(bash, "-n")
		command.Stdin = strings.NewReader(s.Run)
		if out, err := command.CombinedOutput(); err != nil {
			found = append(found, job+": "+string(out))
		}
	}
	return found
}

// TestWorkflows: the workflows can be read, use nothing that may change behind their back, may do nothing that they need not,
// and run what has to hold before a change goes in.
func TestWorkflows(t *testing.T) {
	t.Chdir("..")
	files, err := filepath.Glob(".github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d workflows, %v", len(files), err)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readDoc(t, "go.mod"))
	var all string
	for _, file := range files {
		text := readDoc(t, file)
		all += text
		for _, problem := range workflowProblems(text, goVersion[1]) {
			t.Errorf("%s: %s", file, problem)
		}
	}
	for _, missing := range missingFromWorkflows(all) {
		t.Errorf("no workflow has %q", missing)
	}
	for _, script := range regexp.MustCompile(`bash (\.ci/\S+)`).FindAllStringSubmatch(all, -1) {
		readDoc(t, script[1])
	}
}

// promisedOfWorkflows is what the workflows are there for: all checks on one system and the tests on three, with the oldest Caddy
// and the newest, holes that are known, licences, and releases of signed tags with checksums.
var promisedOfWorkflows = []string{
	"bash .ci/run\n", "go test ./...\n",
	"system: [ubuntu-latest, macos-latest, windows-latest]\n", "runs-on: ${{ matrix.system }}\n",
	"version: [oldest, newest]\n", "go get github.com/caddyserver/caddy/v2@latest\n",
	"govulncheck@v", "bash .ci/licences\n", "go mod verify\n",
	`git cat-file tag "$GITHUB_REF_NAME" | grep -E -- '-----BEGIN (PGP|SSH) SIGNATURE-----'`, "sha256sum -- * >SHA256SUMS\n", "--verify-tag",
}

func missingFromWorkflows(all string) (missing []string) {
	for _, promised := range promisedOfWorkflows {
		if !strings.Contains(all, promised) {
			missing = append(missing, promised)
		}
	}
	return missing
}

// TestWorkflowsFindFaults shows that the checks of TestWorkflows can fail.
func TestWorkflowsFindFaults(t *testing.T) {
	good := readDoc(t, "../.github/workflows/check.yml")
	for old, broken := range map[string]string{ //nolint:gosec // no credentials, but words about them
		"permissions:\n  contents: read":           "permissions:\n  contents: write",
		"    timeout-minutes: 60\n":                "",
		"# v7.0.1":                                 "",
		"persist-credentials: false":               "persist-credentials: true",
		"go-version: '1.26'":                       "go-version: '1.25'",
		"run: go build ./...":                      "run: echo ${{ github.head_ref }}",
		"run: go mod verify":                       "run: if",
		"on:\n  push:":                             "on:\n push:\n   x:",
		"- run: go list -m":                        "- uses: someone/something@v1\n      - run: go list -m",
		"3d3c42e5aac5ba805825da76410c181273ba90b1": "v7",
	} {
		if !strings.Contains(good, old) {
			t.Errorf("%q is not there", old)
		}
		if found := workflowProblems(strings.Replace(good, old, broken, 1), "1.26"); len(found) == 0 {
			t.Errorf("%q instead of %q is not found", broken, old)
		}
	}
	if found := workflowProblems(good, "1.26"); !slices.Equal(found, nil) {
		t.Error(found)
	}
	all := good + readDoc(t, "../.github/workflows/release.yml")
	for _, promised := range promisedOfWorkflows {
		if found := missingFromWorkflows(strings.ReplaceAll(all, promised, "")); !slices.Equal(found, []string{promised}) {
			t.Errorf("without %q, missing are %q", promised, found)
		}
	}
}
