package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/conditionalcache/caddy-conditional-cache/bench/rig"
)

// clientFor is a client that trusts a certificate, and takes answers as they come.
func clientFor(c certificate) (*http.Client, error) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("the certificate cannot be read")
	}
	return &http.Client{Timeout: rig.StartTime, Transport: &http.Transport{
		DisableCompression: true, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}, nil
}

// ask sends a request. The response's body has been read.
func (l *lab) ask(ctx context.Context, url, method string, fields []string) ([]byte, *http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return body, response, err
}

// prepare asks a server as a visitor does who comes for the first time, which is also how memories are filled, and then
// as the row does. It returns the fields of the row's requests once the answer is what the row says.
func (l *lab) prepare(ctx context.Context, r row, s *server) ([]string, error) {
	url := "http://" + s.Address + r.page
	if r.byTLS() {
		url = "https://" + s.tls + r.page
	}
	_, first, err := l.ask(ctx, url, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	fields, err := r.requestFields(first.Header)
	if err != nil {
		return nil, err
	}
	body, got, err := l.ask(ctx, url, r.verb(), fields)
	if err != nil {
		return nil, err
	}
	return fields, r.check(r.answers[s.kind], got, int64(len(body)))
}

// requestFields are those of a client that has had this answer.
func (r row) requestFields(first http.Header) ([]string, error) {
	tag, date := first.Get("Etag"), first.Get("Last-Modified")
	switch {
	case r.tag != "" && tag != r.tag:
		return nil, fmt.Errorf("the page has the tag %q; the row says %q", tag, r.tag)
	case r.condition == byTag && tag != "":
		return append([]string{"If-None-Match: " + tag}, r.fields...), nil
	case r.condition == byDate && date != "":
		return append([]string{"If-Modified-Since: " + date}, r.fields...), nil
	}
	return r.fields, nil
}

// check compares an answer with what a row says of it.
func (r row) check(a answer, got *http.Response, length int64) error {
	isCoded := got.Header.Get("Content-Encoding") == "gzip"
	longest := r.bodyOf(a)
	fits := length == longest
	if a.coded {
		fits = length > 0 && length < r.pageLength()*3/4
	}
	if got.StatusCode != a.status || isCoded != a.coded || !fits {
		return fmt.Errorf("it answers %d with %d bytes and the fields %v; the row says %s, %d bytes, gzip: %t",
			got.StatusCode, length, got.Header, a, longest, a.coded)
	}
	if a.status == http.StatusNotModified && r.condition == byTag && got.Header.Get("Etag") == "" {
		return fmt.Errorf("the 304 has no tag: %v", got.Header)
	}
	return nil
}

// bodyOf is the length of the body of an answer.
func (r row) bodyOf(a answer) int64 {
	switch {
	case a.status == http.StatusNotModified || r.method == http.MethodHead:
		return 0
	case a.status == http.StatusPartialContent:
		return partLength
	}
	return r.pageLength()
}
