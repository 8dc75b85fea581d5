package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// frameRow is a line of testdata/judges/frames.jsonl: a request in frames of HTTP/2, and what has to come in frames. The rows are
// what h2spec asks of messages, and what a handler could spoil.
type frameRow struct {
	ID       string       `json:"id"`
	Origin   originAnswer `json:"origin"`
	Method   string       `json:"method"`
	Fields   []string     `json:"fields"`    // names and values in turn, after the pseudo-header fields
	Data     []string     `json:"data"`      // of a DATA frame each
	Trailers []string     `json:"trailers"`  // like fields
	NoWindow bool         `json:"no_window"` // until the answer's fields are there, no octet may be sent
	Want     string       `json:"want"`      // as framed.String has it, or the status alone
	Alone    string       `json:"alone"`     // of Caddy alone, where it is something else
	RFC      string       `json:"rfc"`
	Note     string       `json:"note"`
}

const minFrameRows = 35

// framed is an answer as it came in frames.
type framed struct {
	status   []string // of every HEADERS frame that has one
	length   string   // Content-Length of the last of these
	octets   int
	trailers []string
	ended    bool
	reset    string
	problems problems // what must not be, whatever the answer
}

func (f *framed) String() string {
	var b strings.Builder
	if len(f.status) > 0 {
		fmt.Fprintf(&b, "%s, %d octets", strings.Join(f.status, ", "), f.octets)
	}
	if f.trailers != nil {
		fmt.Fprintf(&b, ", then %s", strings.Join(f.trailers, ", "))
	}
	if f.reset != "" {
		fmt.Fprintf(&b, ", %s", f.reset)
	}
	return strings.TrimPrefix(b.String(), ", ")
}

// take reads a frame of the stream into the answer.
func (f *framed) take(frame http2.Frame) {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		f.takeFields(frame)
		f.end(frame.StreamEnded())
	case *http2.DataFrame:
		if len(f.status) == 0 || f.ended {
			f.problems.addf("DATA before the fields, or after the end")
		}
		f.octets += len(frame.Data())
		f.end(frame.StreamEnded())
	case *http2.RSTStreamFrame:
		// NO_ERROR after the end says that the rest of the request is not wanted (RFC 9113 §8.1).
		if !f.ended || frame.ErrCode != http2.ErrCodeNo {
			f.reset = frame.ErrCode.String()
		}
	}
}

func (f *framed) end(now bool) {
	if now && f.ended {
		f.problems.addf("a second end")
	}
	f.ended = f.ended || now
}

func (f *framed) takeFields(frame *http2.MetaHeadersFrame) {
	if f.ended {
		f.problems.addf("fields after the end")
	}
	status := frame.PseudoValue("status")
	if status == "" {
		for _, field := range frame.RegularFields() {
			f.trailers = append(f.trailers, field.Name+": "+field.Value)
		}
		if !frame.StreamEnded() {
			f.problems.addf("trailers that are not the end")
		}
		return
	}
	if len(f.status) > 0 && !strings.HasPrefix(f.status[len(f.status)-1], "1") {
		f.problems.addf("a second answer")
	}
	f.status = append(f.status, status)
	f.length = ""
	for _, field := range frame.RegularFields() {
		if field.Name == "content-length" {
			f.length = field.Value
		}
	}
}

// judge says what is wrong with an answer to a method, whatever it should have been.
func (f *framed) judge(method string) problems {
	found := f.problems
	if len(f.status) == 0 {
		return found
	}
	status := f.status[len(f.status)-1]
	none := method == http.MethodHead || status == "304" || status == "204"
	switch {
	case none && (f.octets > 0 || f.trailers != nil):
		found.addf("%d octets and trailers %q of an answer that has no content", f.octets, f.trailers)
	case !none && f.reset == "" && f.length != "" && f.length != strconv.Itoa(f.octets):
		found.addf("content-length is %s, and %d octets come", f.length, f.octets)
	}
	return found
}

// window sets how many octets may be sent on a stream.
func (h *rawHTTP2) window(octets uint32) error {
	return h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: octets})
}

// write sends the request of a row on stream 1.
func (row frameRow) write(h *rawHTTP2) error {
	if row.NoWindow {
		if err := h.window(0); err != nil {
			return err
		}
	}
	fields := append([]string{":method", row.Method, ":scheme", "https", ":path", "/case/" + row.ID + "/", ":authority", h.c.host}, row.Fields...)
	err := h.ask(1, len(row.Data) == 0, fields...)
	for i, data := range row.Data {
		if err == nil {
			err = h.WriteData(1, row.Trailers == nil && i == len(row.Data)-1, []byte(data))
		}
	}
	if err == nil && row.Trailers != nil {
		err = h.ask(1, true, row.Trailers...)
	}
	return err
}

// send sends the request of a row and reads the answer.
func (row frameRow) send(t *testing.T, c *client) *framed {
	t.Helper()
	h, leave := newRawHTTP2(t, c)
	defer leave()
	got := &framed{}
	err := row.write(h)
	for opened := false; err == nil && !got.ended && got.reset == ""; {
		var frame http2.Frame
		if frame, err = h.ReadFrame(); err == nil && frame.Header().StreamID == 1 {
			got.take(frame)
		}
		if err == nil && got.status != nil && !opened {
			err, opened = h.window(1<<16), true
		}
	}
	if err != nil {
		got.problems.addf("%v", err)
		return got
	}
	row.sendAgain(t, h, got)
	return got
}

// sendAgain shows that the connection is in order: another stream gets the whole, and nothing more comes on the first one.
func (row frameRow) sendAgain(t *testing.T, h *rawHTTP2, first *framed) {
	t.Helper()
	if err := h.ask(3, true, ":method", http.MethodGet, ":scheme", "https", ":path", "/case/whole/", ":authority", h.c.host); err != nil {
		t.Fatal(err)
	}
	second := &framed{}
	for !second.ended && second.reset == "" {
		frame, err := h.ReadFrame()
		if err != nil {
			first.problems.addf("afterwards: %v", err)
			return
		}
		switch frame.Header().StreamID {
		case 1:
			first.take(frame)
		case 3:
			second.take(frame)
		}
	}
	if got := second.String(); got != "200, 5 octets" {
		first.problems.addf("afterwards another stream gets %q", got)
	}
}

// TestFrames: over HTTP/2 the frames are those that the RFCs ask for, and where this module has no say, those that come without it.
func TestFrames(t *testing.T) {
	rows := readRows[frameRow](t, "testdata/judges/frames.jsonl", minFrameRows)
	o := startOrigin(t)
	for name, directives := range map[string]string{
		"Caddy alone": "",
		"bare":        "conditional_cache",
		"all":         "conditional_cache {\netag strong\nhead get\nranges stream\nguard_writes\nremember 60s\n}",
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			runCaddy(t, fmt.Sprintf("https://localhost:%d {\ntls internal\n%s\nreverse_proxy %s\n}", port, directives, o.addr()))
			awaitCertificate(t, port)
			c := &client{base: fmt.Sprintf("https://127.0.0.1:%d", port), host: fmt.Sprintf("localhost:%d", port), protocol: "HTTP/2.0"}
			o.answer("whole", originAnswer{Status: 200, Body: "whole"})
			for _, row := range rows {
				o.answer(row.ID, row.Origin)
				want := row.Want
				if name == "Caddy alone" && row.Alone != "" {
					want = row.Alone
				}
				got := row.send(t, c)
				for _, problem := range got.judge(row.Method) {
					t.Errorf("%s (RFC %s): %s", row.ID, row.RFC, problem)
				}
				if said := got.String(); said != want && !strings.HasPrefix(said, want+",") {
					t.Errorf("%s (RFC %s): got %q, want %q", row.ID, row.RFC, got, want)
				}
			}
		})
	}
}

// TestFramesFindsFaults shows that framed can find fault.
func TestFramesFindsFaults(t *testing.T) {
	for want, got := range map[string]framed{
		"":                     {status: []string{"103", "200"}, length: "5", octets: 5, ended: true},
		"5 octets and":         {status: []string{"304"}, octets: 5, ended: true},
		"trailers":             {status: []string{"304"}, trailers: []string{"x: y"}, ended: true},
		"content-length is 6,": {status: []string{"206"}, length: "6", octets: 5, ended: true},
	} {
		found := got.judge(http.MethodGet)
		if want == "" && len(found) > 0 || !strings.Contains(strings.Join(found, "; "), want) {
			t.Errorf("%v: found %q, want %q", &got, found, want)
		}
	}
	again := framed{status: []string{"200"}}
	again.end(true)
	again.end(true)
	if !slices.Equal(again.problems, []string{"a second end"}) {
		t.Errorf("found %q", again.problems)
	}
}
