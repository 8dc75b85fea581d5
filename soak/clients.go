package main

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// transport speaks one version of HTTP to all sites.
type transport struct {
	http.RoundTripper
	protocol string
	close    func()
}

// newTransports returns some of every version of HTTP. All hosts are this machine.
func newTransports(set *settings, roots *x509.CertPool) []*transport {
	address := fmt.Sprintf("127.0.0.1:%d", set.port)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, address)
	}
	var all []*transport
	for range 2 {
		h1 := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableCompression: true, MaxIdleConnsPerHost: 8}
		h1.Protocols = new(http.Protocols)
		h1.Protocols.SetHTTP1(true)
		h2 := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableCompression: true}
		h2.Protocols = new(http.Protocols)
		h2.Protocols.SetHTTP2(true)
		h3 := &http3.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableCompression: true,
			Dial: func(ctx context.Context, _ string, config *tls.Config, options *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, address, config, options)
			},
		}
		all = append(all, &transport{h1, "HTTP/1.1", h1.CloseIdleConnections}, &transport{h2, "HTTP/2", h2.CloseIdleConnections},
			&transport{h3, "HTTP/3", func() { _ = h3.Close() }})
	}
	return all
}

// makeCertificate writes a certificate of all sites and its key, and returns what trusts it.
func makeCertificate(set *settings) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*." + domain}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("a key: %w", err)
	}
	set.certificate, set.key = filepath.Join(set.folder, "cert.pem"), filepath.Join(set.folder, "key.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
	if err := os.WriteFile(set.certificate, certificate, 0o600); err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	if err := os.WriteFile(set.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return nil, fmt.Errorf("a key: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return roots, nil
}

// readBody reads a body to its end, at once or slowly, and decodes it.
func readBody(ctx context.Context, response *http.Response, slowly bool) (string, error) {
	body := io.Reader(response.Body)
	if slowly {
		body = &slowReader{ctx, body, 60}
	}
	if response.Header.Get("Content-Encoding") == "gzip" && response.StatusCode == http.StatusOK && response.Request.Method == http.MethodGet {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return "", fmt.Errorf("decoding: %w", err)
		}
		body = unzipped
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

// slowReader pauses before each piece, for some time.
type slowReader struct {
	ctx    context.Context
	from   io.Reader
	pauses int
}

// Read implements io.Reader.
func (s *slowReader) Read(p []byte) (int, error) {
	if s.pauses > 0 {
		s.pauses--
		pause(s.ctx, 20*time.Millisecond)
	}
	return s.from.Read(p[:min(len(p), 2048)])
}

// stallingBody is a content that begins and does not end before its client leaves.
type stallingBody struct {
	ctx  context.Context
	left int
}

// Read implements io.Reader.
func (s *stallingBody) Read(p []byte) (int, error) {
	if s.left <= 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n := min(len(p), s.left)
	for i := range n {
		p[i] = 'x'
	}
	s.left -= n
	return n, nil
}
