package audit

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// surplusTime is how long it is waited for what follows the fields of an answer to HEAD.
const surplusTime = 2 * time.Second

// sendAlone sends a HEAD request on a connection of its own, and tells whether anything follows the fields of the answer.
// On a connection with others the next answer would begin with that, and net/http would not say why it cannot be read.
func sendAlone(request *http.Request, address string) (response *http.Response, surplus bool, err error) {
	if address == "" {
		address = net.JoinHostPort(request.URL.Hostname(), portOf(request.URL))
	}
	conn, err := dialAlone(request, address)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close() //nolint:errcheck // all there was to read has been read
	deadline, _ := request.Context().Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	if err := request.Write(conn); err != nil {
		return nil, false, err
	}
	reader := bufio.NewReader(io.LimitReader(conn, maxFields))
	for {
		if response, err = http.ReadResponse(reader, request); err != nil {
			return nil, false, err
		}
		if response.StatusCode >= http.StatusOK {
			break // and what came before was not the answer (RFC 9110 §15.2)
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(surplusTime))
	_, err = reader.ReadByte()
	return response, err == nil, nil
}

func dialAlone(request *http.Request, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTime}
	if request.URL.Scheme != "https" {
		return dialer.DialContext(request.Context(), "tcp", address)
	}
	secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: request.URL.Hostname(), MinVersion: tls.VersionTLS12}}
	return secure.DialContext(request.Context(), "tcp", address)
}
