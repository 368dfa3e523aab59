package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/lakestep/lakestep/shared/fault"
)

func TestKindAndHintAreFoundInAChain(t *testing.T) {
	inner := fault.New(fault.Throttled, "list", "bucket", "slow down").WithHint("wait")
	outer := fault.New(fault.Unavailable, "open", "gold.x", "%w", inner)
	for _, c := range []struct {
		err  error
		kind fault.Kind
		hint string
	}{
		{nil, "", ""},
		{errors.New("plain"), fault.Internal, ""},
		{inner, fault.Throttled, "wait"},
		{outer, fault.Unavailable, "wait"}, // the outermost kind, the first hint
		{fmt.Errorf("wrapped: %w", outer), fault.Unavailable, "wait"},
		{context.DeadlineExceeded, fault.Unavailable, ""},
		{fault.New(fault.Internal, "write", "data files", "%w", context.DeadlineExceeded), fault.Unavailable, ""},
		{fault.New(fault.Internal, "write", "data files", "row 7: %w", fmt.Errorf("scan: %w", context.Canceled)), fault.Unavailable, ""},
		{fault.New(fault.Internal, "write", "data files", "%v", context.Canceled), fault.Internal, ""},
		{fault.New(fault.InvalidInput, "open", "engine", "%w", context.Canceled), fault.InvalidInput, ""},
		{errors.Join(errors.New("a"), inner), fault.Throttled, "wait"},
	} {
		if k, h := fault.KindOf(c.err), fault.HintOf(c.err); k != c.kind || h != c.hint {
			t.Errorf("%v: %q %q, want %q %q", c.err, k, h, c.kind, c.hint)
		}
	}
	if got := outer.Error(); got != "open gold.x: list bucket: slow down" {
		t.Error(got)
	}
	if inner.WithHint("other"); inner.Hint != "wait" {
		t.Error("WithHint changed the fault itself")
	}
}

func TestKindsAreAllThere(t *testing.T) {
	seen := map[fault.Kind]bool{}
	for _, k := range fault.Kinds() {
		if k == "" || seen[k] {
			t.Errorf("kind %q twice or empty", k)
		}
		seen[k] = true
	}
	if len(seen) != 8 || !fault.Throttled.Retryable() || !fault.Unavailable.Retryable() || fault.Stale.Retryable() || fault.Internal.Retryable() {
		t.Error("the retryable kinds are Throttled and Unavailable, of 8")
	}
}

func TestCauseOf(t *testing.T) {
	for cause, want := range map[string]string{
		`{"errorMessage": "lost", "errorType": "Stale"}`: "lost", `{"errorMessage": ""}`: "", " plain": " plain", `{"op": "commit"}`: `{"op": "commit"}`, `"text"`: `"text"`,
	} {
		if got := fault.CauseOf(cause); got != want {
			t.Errorf("%s: %q, want %q", cause, got, want)
		}
	}
}
