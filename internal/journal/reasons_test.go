package journal

import (
	"testing"

	"github.com/conditionalcache/caddy-conditional-cache/internal/capture"
	"github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"
	"github.com/conditionalcache/caddy-conditional-cache/internal/remember"
)

// Every reason has a word of its own and a sentence, and every outcome a word.
func TestVocabularyIsWhole(t *testing.T) {
	for r := NoReason + 1; r < countOfReasons; r++ {
		if r.String() == "" || r.Sentence() == "" || Because(r.String()) != r {
			t.Errorf("reason %d: word %q, sentence %q, found by its word as %d", r, r, r.Sentence(), Because(r.String()))
		}
	}
	for o := Undecided + 1; o <= Failed; o++ {
		if o.String() == "" {
			t.Errorf("outcome %d has no word", o)
		}
	}
}

// What the packages say that know nothing of this one is in the vocabulary.
func TestReasonsOfOtherPackages(t *testing.T) {
	for _, word := range []capture.Reason{
		capture.ReasonMaxBody, capture.ReasonMaxDelay, capture.ReasonMaxTotal, capture.ReasonLength, capture.ReasonHijack,
	} {
		if Because(word) == NoReason {
			t.Errorf("%q of capture is unknown", word)
		}
	}
	for _, word := range []httpcond.Reason{
		httpcond.ReasonIfMatch, httpcond.ReasonIfMatchUnusable, httpcond.ReasonIfUnmodifiedSince, httpcond.ReasonIfNoneMatch, httpcond.ReasonIfModifiedSince,
		httpcond.ReasonNoCondition, httpcond.ReasonMethod, httpcond.ReasonMatched, httpcond.ReasonNoneMatched,
		httpcond.ReasonNoEntityTag, httpcond.ReasonUnusable, httpcond.ReasonModifiedSince, httpcond.ReasonIgnored,
		httpcond.ReasonRange, httpcond.ReasonRangeUnsatisfiable, httpcond.ReasonRangeUnusable, httpcond.ReasonRangeEmpty,
		httpcond.ReasonRangeMany, httpcond.ReasonRangeExcessive, httpcond.ReasonNoValidator, httpcond.ReasonWeakValidator, httpcond.ReasonIfRange,
	} {
		if Because(word) == NoReason {
			t.Errorf("%q of httpcond is unknown", word)
		}
	}
	for _, word := range []remember.Reason{
		remember.WhyMiss, remember.WhyStale, remember.WhyPersonal, remember.WhyCookies, remember.WhyRequest, remember.WhyChanged,
		remember.WhyUnavailable, remember.WhyUnsettled, remember.WhyCondition,
		remember.UnkeptNoStore, remember.UnkeptPrivate, remember.UnkeptNoCache, remember.UnkeptSurrogate, remember.UnkeptOutside,
		remember.UnkeptRow, remember.UnkeptNoLifetime, remember.UnkeptSetCookie, remember.UnkeptCookie, remember.UnkeptAuthorization,
		remember.UnkeptTokens, remember.UnkeptVaryStar, remember.UnkeptVaryMany, remember.UnkeptTooLarge, remember.UnkeptNoValidator,
		remember.UnkeptIncomplete, remember.UnkeptEndUntold, remember.UnkeptMaxDelay, remember.UnkeptIgnoreWork, remember.UnkeptNotModified,
		remember.UnkeptHead, remember.UnkeptStatus,
	} {
		if Because(word) == NoReason {
			t.Errorf("%q of remember is unknown", word)
		}
	}
}
