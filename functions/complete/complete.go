// Package complete is the last step of a run that went through: it writes the manifest of versions and the run's row in the ledger.
package complete

import (
	"context"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/step"
)

// Input names the run.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
}

// Output is the outcome in short; the whole is the run's document "outcome".
type Output struct {
	Run    string `json:"run"`
	Status string `json:"status"` // succeeded or held
	Held   int    `json:"held"`   // tables held back
}

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	book := &ledger.Ledger{Lake: l, Engine: e}
	return step.New("complete", func(ctx context.Context, in Input) (Output, error) {
		out, err := book.Close(ctx, in.Run, nil)
		return Output{Run: in.Run, Status: out.Status, Held: len(out.Held)}, err
	})
}
