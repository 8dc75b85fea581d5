package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// longestSnippet is that of what a guide may show before its example.
const longestSnippet = 6

// TestGuidesShowTheExamples: what a guide shows first is the file that it names, or a few lines and then the file.
func TestGuidesShowTheExamples(t *testing.T) {
	for _, name := range slices.Concat(siteExamples, moreExamples) {
		page := filepath.Join("..", "docs", "guides", name+".md")
		blocks := codeBlocks(t, page, "caddyfile")
		if len(blocks) > 1 && strings.Count(blocks[0].text, "\n") <= longestSnippet {
			blocks = blocks[1:]
		}
		if len(blocks) == 0 || blocks[0].text != readDoc(t, filepath.Join(exampleFolder(t, name), "Caddyfile")) {
			t.Errorf("%s does not begin with the Caddyfile of examples/%s", page, name)
		}
	}
}

// composeFile is what is read of a compose file.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Build       yaml.Node         `yaml:"build"`
	Ports       []string          `yaml:"ports"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	DependsOn   []string          `yaml:"depends_on"`
	WorkingDir  string            `yaml:"working_dir"`
	Command     yaml.Node         `yaml:"command"` // a text or a list
	User        string            `yaml:"user"`
}

// TestExampleCompose: the compose files name services, files and variables that are there.
func TestExampleCompose(t *testing.T) {
	for _, name := range slices.Concat(siteExamples, moreExamples) {
		t.Run(name, func(t *testing.T) {
			dir := exampleFolder(t, name)
			decoder := yaml.NewDecoder(strings.NewReader(readDoc(t, filepath.Join(dir, "compose.yml"))))
			decoder.KnownFields(true) // a field that is misspelled is an error
			var compose composeFile
			if err := decoder.Decode(&compose); err != nil {
				t.Fatal(err)
			}
			for service := range compose.Services {
				compose.check(t, dir, service)
			}
			compose.checkCaddy(t, dir)
		})
	}
}

// versionTag is what an image of somebody else has to have: else it is another one each day.
var versionTag = regexp.MustCompile(`:[A-Za-z.-]*\d`)

func (f *composeFile) check(t *testing.T, dir, name string) {
	t.Helper()
	service := f.Services[name]
	if service.Image == "" && service.Build.IsZero() {
		t.Errorf("%s has neither an image nor a build", name)
	}
	if service.Build.IsZero() && !versionTag.MatchString(service.Image) {
		t.Errorf("%s is %q, without the tag of a version", name, service.Image)
	}
	for _, other := range service.DependsOn {
		if _, ok := f.Services[other]; !ok {
			t.Errorf("%s depends on %s, which is not there", name, other)
		}
	}
	for _, volume := range service.Volumes {
		source, target, _ := strings.Cut(regexp.MustCompile(`\$\{\w+:\?[^}]*\}`).ReplaceAllString(volume, "$$APP"), ":")
		_, named := f.Volumes[source]
		_, err := os.Stat(filepath.Join(dir, source))
		switch {
		case !strings.HasPrefix(target, "/"):
			t.Errorf("%s: %s has no place", name, volume)
		case strings.HasPrefix(source, "$APP"), named, strings.HasPrefix(source, "./") && err == nil:
		default:
			t.Errorf("%s: %s is neither a file nor a volume", name, source)
		}
	}
	for _, port := range service.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:808") {
			t.Errorf("%s: port %s is open to the world", name, port)
		}
	}
}

// checkCaddy is about the service that runs the example.
func (f *composeFile) checkCaddy(t *testing.T, dir string) {
	t.Helper()
	service := f.Services["caddy"]
	var build struct{ Context, Dockerfile string }
	if err := service.Build.Decode(&build); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, build.Context)
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Errorf("the context is not the checkout: %v", err)
	}
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(build.Dockerfile)))
	if _, none := os.Stat(filepath.Join(root, "examples", "docker")); err != nil && none == nil || build.Dockerfile != "examples/docker/Dockerfile" {
		t.Errorf("Dockerfile %s: %v", build.Dockerfile, err)
	}
	if !slices.Contains(service.Volumes, "./Caddyfile:/etc/caddy/Caddyfile:ro") {
		t.Errorf("Caddy gets %q", service.Volumes)
	}
	text := readDoc(t, filepath.Join(dir, "Caddyfile"))
	for name, value := range service.Environment {
		if !strings.Contains(text, "{$"+name+":") {
			t.Errorf("the Caddyfile does not know %s", name)
		}
		host, _, address := strings.Cut(value, ":")
		if _, ok := f.Services[host]; address && !ok {
			t.Errorf("%s: there is no service %s", name, host)
		}
	}
	for _, used := range regexp.MustCompile(`\{\$(\w+):`).FindAllStringSubmatch(text, -1) {
		if service.Environment[used[1]] == "" {
			t.Errorf("compose.yml does not say %s", used[1])
		}
	}
	for _, port := range regexp.MustCompile(`(?m)^http://localhost:(\d+) \{$`).FindAllStringSubmatch(text, -1) {
		if !f.publishes("127.0.0.1:" + port[1] + ":") {
			t.Errorf("compose.yml does not publish %s", port[1])
		}
	}
}

// publishes reports whether a service has a port there: it need not be Caddy, where something stands in front.
func (f *composeFile) publishes(where string) bool {
	for _, service := range f.Services {
		if slices.ContainsFunc(service.Ports, func(port string) bool { return strings.HasPrefix(port, where) }) {
			return true
		}
	}
	return false
}
