package integration

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// packageManagers keep indexes of packages.
var packageManagers = []returning{
	{name: "apt-get update", field: "If-Modified-Since", path: "/dists/stable/Release", files: repository, shows: packageIndex, start: startApt},
}

// TestPackageManagers: what keeps indexes of packages get a 304 as long as nothing has changed, though the upstream makes none, and with remember it is not even
// asked.
func TestPackageManagers(t *testing.T) { checkAll(t, packageManagers) }

const packageIndexPath = "main/binary-amd64/Packages"

// packageIndex is the index of a repository with one package, whose file is bigFile.
func packageIndex(version int) string {
	return fmt.Sprintf("Package: example\nVersion: %d\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\n"+
		"Filename: pool/example_%[1]d_all.deb\nSize: %d\nSHA256: %x\nDescription: an example\n", version, len(bigFile()), sha256.Sum256([]byte(bigFile())))
}

// repository is an unsigned repository of Debian packages.
func repository(version int) map[string]string {
	index := packageIndex(version)
	release := fmt.Sprintf("Suite: stable\nCodename: stable\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %x %d %s\n",
		lastDeploy.AddDate(0, 0, version).Format(time.RFC1123), sha256.Sum256([]byte(index)), len(index), packageIndexPath)
	return map[string]string{
		"/dists/stable/Release":                          release,
		"/dists/stable/" + packageIndexPath:              index,
		fmt.Sprintf("/pool/example_%d_all.deb", version): bigFile(),
	}
}

// startApt gives apt-get folders of its own: of the system's it reads and writes nothing.
func startApt(t *testing.T, base string) (load func() string) {
	t.Helper()
	dir := aptFolder(t, "deb [trusted=yes] "+base+" stable main\n")
	return func() string {
		run(t, aptGet(t, dir, "update"))
		indexes, err := filepath.Glob(filepath.Join(dir, "lists", "*_Packages"))
		if err != nil || len(indexes) != 1 {
			t.Fatalf("apt-get has %v, %v", indexes, err)
		}
		return readDoc(t, indexes[0])
	}
}

// aptFolder makes the folders and files that apt-get wants, for one source.
func aptFolder(t *testing.T, source string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, sub := range []string{"lists/partial", "archives/partial", "etc", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"sources.list": source, "status": "", "apt.conf": fmt.Sprintf(`
Dir "%[1]s/";
Dir::State "%[1]s";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s";
Dir::Log "%[1]s/log";
Dir::Etc "%[1]s/etc";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "%[1]s/etc";
Dir::Bin::Methods "/usr/lib/apt/methods";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
Acquire::http::Proxy "DIRECT";
`, dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// aptGet is apt-get with the folders of aptFolder. With APT_CONFIG it reads its own file first, and by that no other of the system.
func aptGet(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "apt-get"), args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(dir, "apt.conf"), "LC_ALL=C")
	return cmd
}

// TestAptResumes: apt-get goes on with a package where its date is the same (If-Range) and stands for the same octets. Otherwise
// it gets the whole.
func TestAptResumes(t *testing.T) {
	files := t.TempDir()
	for path, content := range repository(1) {
		writeDated(t, filepath.Join(files, path), content)
	}
	origin, shelved := startShelf(t)
	origin.header.Del("Cache-Control")
	origin.put(repository(1), lastDeploy.Format(http.TimeFormat))
	const plain = "conditional_cache {\nranges stream\ncache_control /pool/* no-transform\n}"
	for _, tt := range []struct {
		title, directives string
		nginx             bool
		date              time.Time // of the part that apt-get has
		status            int
	}{
		{title: "nginx", directives: "conditional_cache", nginx: true, date: lastDeploy, status: http.StatusPartialContent},
		{title: "no coding follows", directives: plain, date: lastDeploy, status: http.StatusPartialContent},
		{title: "an earlier date", directives: plain, date: lastDeploy.AddDate(0, 0, -1), status: http.StatusOK},
		// A gzip of the package would have its date, too.
		{title: "a coding may follow", directives: "conditional_cache {\nranges stream\n}", date: lastDeploy, status: http.StatusOK},
	} {
		t.Run(tt.title, func(t *testing.T) {
			handler := shelved
			if tt.nginx {
				handler = "reverse_proxy " + runNginx(t, "nginx.conf", files)
			}
			w := watch(t, tt.directives, handler)
			client := w.resumeApt(t, tt.date)
			if client.count(tt.status, "If-Range") != 1 || len(client) != 1 {
				t.Errorf("%v: want one %d to an If-Range", client, tt.status)
			}
			client.checkParts(t, bigFile())
		})
	}
}

// resumeApt lets apt-get go on with a part of the package that has a date, and returns what it asked for that.
func (w *watchedSite) resumeApt(t *testing.T, date time.Time) (client sightings) {
	t.Helper()
	const name, begun = "example_1_all.deb", 1 << 20
	dir := aptFolder(t, "deb [trusted=yes] "+w.base+" stable main\n")
	run(t, aptGet(t, dir, "update"))
	part := filepath.Join(dir, "archives", "partial", name)
	if err := os.WriteFile(part, []byte(bigFile()[:begun]), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(part, date, date); err != nil {
		t.Fatal(err)
	}
	client, _ = w.during(func() { run(t, aptGet(t, dir, "install", "--download-only", "-y", "example")) })
	if got := readDoc(t, filepath.Join(dir, "archives", name)); got != bigFile() {
		t.Errorf("%d bytes are saved, and are not the package of %d bytes", len(got), len(bigFile()))
	}
	return client
}

// writeDated writes a file of lastDeploy, and the folders that it is in.
func writeDated(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, lastDeploy, lastDeploy); err != nil {
		t.Fatal(err)
	}
}
