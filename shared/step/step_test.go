package step_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/step"
)

type in struct {
	N int `json:"n"`
}

type out struct {
	Twice int `json:"twice"`
}

var errOdd = errors.New("odd")

func double(_ context.Context, i in) (out, error) {
	if i.N%2 == 1 {
		return out{}, errOdd
	}
	return out{2 * i.N}, nil
}

func TestStep(t *testing.T) {
	set := step.NewSet(step.New("double", double), step.New("again", double))
	if got := set.Names(); !slices.Equal(got, []string{"again", "double"}) {
		t.Errorf("names %q", got)
	}
	got, err := set["double"](t.Context(), json.RawMessage(`{"n":4}`))
	if err != nil || string(got) != `{"twice":8}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := set["double"](t.Context(), json.RawMessage(`{"n":3}`)); !errors.Is(err, errOdd) {
		t.Errorf("the step's own error: %v", err)
	}
	for _, bad := range []string{`{"n":4,"more":1}`, `{"n":"4"}`, ``, `[]`} {
		if _, err := set["double"](t.Context(), json.RawMessage(bad)); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("input %s: %v", bad, err)
		}
	}
}

func TestTwoStepsOfOneNamePanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	step.NewSet(step.New("a", double), step.New("a", double))
}
