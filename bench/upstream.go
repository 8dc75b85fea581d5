package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// longest is the length of the longest page.
const longest = 16 << 20

// pieceOfPage is how much of a chunked page is written at a time.
const pieceOfPage = 4 << 10

// serveUpstream is the other program that this one is: a plain server without validators. It prints its address, and
// ends with ctx or its standard input, so that it does not outlive the process that has started it.
func serveUpstream(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pages has /length/N with a Content-Length, /chunked/N without one, and /public/N, which may be remembered.
func pages() http.Handler {
	text := bytes.Repeat([]byte("<p>A page is text.\n"), longest/16)[:longest]
	mux := http.NewServeMux()
	mux.HandleFunc("/{kind}/{length}", func(w http.ResponseWriter, r *http.Request) {
		length, err := strconv.Atoi(r.PathValue("length"))
		if err != nil || length < 0 || length > longest {
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		switch r.PathValue("kind") {
		case "chunked":
			writePieces(w, text[:length])
			return
		case "public":
			header.Set("Cache-Control", "public, max-age=60")
		}
		header.Set("Content-Length", strconv.Itoa(length))
		_, _ = w.Write(text[:length])
	})
	return mux
}

// writePieces writes as a template does that has come so far.
func writePieces(w io.Writer, text []byte) {
	for len(text) > 0 {
		n := min(len(text), pieceOfPage)
		if _, err := w.Write(text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}
