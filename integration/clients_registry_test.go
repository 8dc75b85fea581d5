package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// startRegistry runs docker-registry on an empty folder and returns its address.
func startRegistry(t *testing.T) (addr string) {
	t.Helper()
	registry, dir := program(t, "docker-registry"), t.TempDir()
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	config := filepath.Join(dir, "config.yml")
	text := "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: " + filepath.Join(dir, "storage") + "\nhttp:\n  addr: " + addr + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runUpstream(t, addr, exec.CommandContext(t.Context(), registry, "serve", config))
	return addr
}

// newImage makes a container image of one layer, in a folder as skopeo writes it, and returns its files.
func newImage(t *testing.T) (dir string, files map[string]string) {
	t.Helper()
	var layer, archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(bigFile()))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(bigFile())); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	compressed := gzip.NewWriter(&layer)
	if _, err := compressed.Write(archive.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	hex := func(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, hex(archive.String()))
	const kind = "application/vnd.docker."
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":"sha256:%s"},"layers":[{"mediaType":%q,"size":%d,"digest":"sha256:%s"}]}`,
		kind+"distribution.manifest.v2+json", kind+"container.image.v1+json", len(config), hex(config),
		kind+"image.rootfs.diff.tar.gzip", layer.Len(), hex(layer.String()))
	files = map[string]string{
		"manifest.json": manifest, "version": "Directory Transport Version: 1.1\n",
		hex(config): config, hex(layer.String()): layer.String(),
	}
	dir = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// TestSkopeoAndARegistry: an image that skopeo sends to docker-registry through Caddy comes back octet by octet. What is there
// already is not sent again.
func TestSkopeoAndARegistry(t *testing.T) {
	skopeo := program(t, "skopeo")
	image, files := newImage(t)
	for name, directives := range map[string]string{"bare": "conditional_cache", "everything": everything} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, directives, "reverse_proxy "+startRegistry(t))
			home := t.TempDir()
			remote := "docker://" + w.base[len("http://"):] + "/example:1"
			copies := func(from, to string) func() {
				return func() {
					cmd := exec.CommandContext(t.Context(), skopeo, "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to)
					cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home)
					run(t, cmd)
				}
			}
			client, _ := w.during(copies("dir:"+image, remote))
			if client.count(202, "") < 2 || client.count(201, "") != 3 {
				t.Errorf("%v: want two blobs and a manifest to be created", client)
			}
			client, _ = w.during(copies("dir:"+image, remote))
			if slices.ContainsFunc(client, func(s *sighting) bool { return s.method == "PATCH" }) {
				t.Errorf("%v: want no blob to be sent again", client)
			}
			for range 2 {
				saved := t.TempDir()
				client, _ = w.during(copies(remote, "dir:"+saved))
				checkImage(t, saved, files)
				if client.count(200, "") < 3 {
					t.Errorf("%v: want the manifest and two blobs", client)
				}
			}
		})
	}
}

// checkImage wants a folder to have the files of an image.
func checkImage(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if got := readDoc(t, filepath.Join(dir, name)); got != content {
			t.Errorf("%s: %d bytes came back, and are not the %d that were sent", name, len(got), len(content))
		}
	}
}
