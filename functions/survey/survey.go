// Package survey is the first step of a maintenance run: it lists the pipeline's tables that are there, those of refused rows and the
// ledger among them, and puts the run on record.
package survey

import (
	"context"
	"errors"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/step"
)

// Input is the state machine's input.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
}

// Output lists the tables by full name.
type Output struct {
	Tables []string `json:"tables"`
}

// New makes the step.
func New(l *lake.Lake) step.Step {
	return step.New("survey", func(ctx context.Context, in Input) (Output, error) {
		if in.Run == "" || in.Bundle == "" {
			return Output{}, fault.New(fault.InvalidInput, "start", "maintenance", "the input lacks run or bundle")
		}
		p, err := l.Pipeline(ctx, in.Bundle)
		if err != nil {
			return Output{}, err
		}
		out := Output{Tables: []string{}}
		for _, name := range ledger.Tables(p) {
			_, err := l.Delta(name).Snapshot(ctx, delta.AsOf{})
			if errors.Is(err, delta.ErrNoTable) {
				continue
			}
			if err != nil {
				return Output{}, err
			}
			out.Tables = append(out.Tables, name)
		}
		// Under a name of its own: runs of the pipeline do not wait for it, nor does it overtake one.
		plan := ledger.Plan{Run: in.Run, Pipeline: p.Name + " maintenance", Bundle: in.Bundle, Trigger: event.Trigger{Kind: event.Manual, Source: event.CLI}, Started: l.Now().UTC()}
		var before ledger.Plan
		if found, err := l.GetRun(ctx, in.Run, ledger.PlanDocument, &before); err != nil {
			return Output{}, err
		} else if found {
			plan.Started = before.Started
		}
		return out, l.PutRun(ctx, in.Run, ledger.PlanDocument, plan)
	})
}
