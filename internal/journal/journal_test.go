package journal

import (
	"net/http"
	"testing"
)

func TestRecord(t *testing.T) {
	var rec Record
	if got := rec.Last(); got != (Note{}) {
		t.Errorf("to begin with it says %v", got)
	}
	steps := []struct {
		outcome Outcome
		reason  Reason
		etag    string
		want    string // the tag that is told
	}{
		{Streamed, ExistingTag, `"a"`, `"a"`},
		{Failed, Aborted, "", ""},
		{NotModified, Upstream, `"b"`, `"b"`},
		{Tagged, NoCondition, `"c"`, ""}, // the third one
		{Failed, Error, "", ""},
	}
	for _, step := range steps {
		header := http.Header{}
		if step.etag != "" {
			header["Etag"] = []string{step.etag}
		}
		rec.Decide(step.outcome, step.reason, header)
		if got, want := rec.Last(), (Note{Outcome: step.outcome, Reason: step.reason, ETag: step.want}); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// Access logs and placeholders are read by other goroutines than the one that decides.
func TestRecordIsReadWhileItIsWritten(t *testing.T) {
	var rec Record
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10_000 {
			if note := rec.Last(); (note.Outcome == Streamed) != (note.ETag == `"a"`) {
				t.Errorf("a note of two decisions: %v", note)
				return
			}
		}
	}()
	rec.Decide(Failed, Error, nil)
	rec.Decide(Streamed, ExistingTag, http.Header{"Etag": {`"a"`}})
	rec.Decide(Failed, Aborted, nil)
	<-done
}

// The tag of an answer and the current one of a refusal have a placeholder each, and the other is empty then.
func TestRecordTellsTagsApart(t *testing.T) {
	for outcome := Streamed; int(outcome) < len(outcomes); outcome++ {
		var rec Record
		rec.Decide(outcome, Error, http.Header{"Etag": {`"a"`}})
		sent, _ := rec.placeholder("http.conditional_cache.etag")
		current, known := rec.placeholder("http.conditional_cache.current_etag")
		refused := outcome == PreconditionFailed || outcome == PreconditionRequired || outcome == Failed
		if !known || refused != (current == `"a"`) || refused != (sent == "") || refused == (current == "") {
			t.Errorf("%s: etag %q, current_etag %q", outcome, sent, current)
		}
	}
}
