package transform

import (
	"context"
	"fmt"

	"github.com/lakestep/lakestep/shared/lake"
)

// Input is what the silver and gold steps take.
type Input struct {
	Run    string `json:"run"`
	Bundle string `json:"bundle"`
	Table  string `json:"table"`
	Round  int    `json:"round"` // how often a lost race sent the table back here
}

// Output is what they give: a staged commit to audit, or why there is none.
type Output struct {
	Table       string          `json:"table"`
	Status      string          `json:"status"` // staged, unchanged, waiting or skipped
	Why         string          `json:"why,omitempty"`
	Staged      *lake.StagedRef `json:"staged,omitempty"`
	Read        int64           `json:"read"`
	Accepted    int64           `json:"accepted"`
	Superseded  int64           `json:"superseded"`
	Stale       int64           `json:"stale"`
	Quarantined int64           `json:"quarantined"`
	Inserted    int64           `json:"inserted"`
	Updated     int64           `json:"updated"`
	Deleted     int64           `json:"deleted,omitempty"` // rows that hard deletes took away
}

// Skipped is the status of a table that was not made because the gate of one that it reads is closed.
const Skipped = "skipped"

// Handle is the step: it skips the table when one that it reads is held back in this run, and makes it otherwise.
func (r *Runner) Handle(ctx context.Context, in Input) (Output, error) {
	p, declare, err := r.Lake.Declared(ctx, in.Bundle, in.Table)
	if err != nil {
		return Output{}, err
	}
	out := Output{Table: in.Table}
	for _, name := range declare.Inputs {
		var h lake.Held
		held, err := r.Lake.GetRun(ctx, in.Run, lake.HeldDocument(name), &h)
		if err != nil {
			return Output{}, err
		}
		if held {
			out.Status, out.Why = Skipped, fmt.Sprintf("the gate of %s is closed", h.Cause)
			return out, r.Lake.Hold(ctx, in.Run, lake.Held{Table: in.Table, Cause: h.Cause, Reason: out.Why})
		}
	}
	overrides, err := r.Lake.Overrides(ctx, in.Run)
	if err != nil {
		return Output{}, err
	}
	made, err := r.Run(ctx, Request{Run: in.Run, Pipeline: p, Table: declare, RefuseAll: overrides.RefusesBatch(in.Table)})
	if err != nil {
		return Output{}, err
	}
	out.Status = made.Status
	if made.Status == Waiting {
		out.Why = "table " + made.Waits + " does not exist yet"
	}
	if made.Decision == nil {
		return out, nil
	}
	c := made.Decision.Counts
	out.Staged, out.Inserted, out.Updated, out.Deleted = &made.Staged, made.Inserted, made.Updated, made.Deleted
	out.Read, out.Accepted, out.Superseded, out.Stale, out.Quarantined = c.Read, c.Accepted, c.Superseded, c.Stale, c.Quarantined
	return out, nil
}
