// Package fail is the step behind every Catch: it records the failed run in the ledger.
package fail

import (
	"context"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/step"
)

// Input is what a Catch hands over.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
	Error  Caught `json:"error"`
}

// Caught is an error as the States Language gives it to a Catch.
type Caught struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// Output says that the failure is on record.
type Output struct {
	Run    string `json:"run"`
	Status string `json:"status"`
}

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	book := &ledger.Ledger{Lake: l, Engine: e}
	return step.New("fail", func(ctx context.Context, in Input) (Output, error) {
		out, err := book.Close(ctx, in.Run, &ledger.Error{Error: in.Error.Error, Cause: fault.CauseOf(in.Error.Cause)})
		return Output{Run: in.Run, Status: out.Status}, err
	})
}
