// Package publish is the step that makes an approved commit visible. It verifies that the verdict is on this very document and that every
// file is there with its size, commits, and brings the rows that the decision refused to the quarantine.
//
// Published is published: repeated, the step finds its own commit and gives the same answer. The catalog, where there is one, is told last: when it
// cannot be, readers by path have the table already, and the repeated step only tells the catalog.
package publish

import (
	"context"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/step"
)

// Output says under which version the table's data now is.
type Output struct {
	Table   string `json:"table"`
	Version int64  `json:"version"`
	Verdict string `json:"verdict"`
}

type publisher struct {
	lake    *lake.Lake
	catalog catalog.Catalog // may be nil
}

// New makes the step. Without a catalog tables are found by their path alone.
func New(l *lake.Lake, c catalog.Catalog) step.Step {
	return step.New("publish", (&publisher{l, c}).run)
}

func (p *publisher) run(ctx context.Context, in lake.StagedInput) (Output, error) {
	table, err := p.lake.Open(ctx, in.Table)
	if err != nil {
		return Output{}, err
	}
	verdict, err := table.VerdictOn(ctx, in.Staged)
	if err != nil {
		return Output{}, err
	}
	if verdict.Verdict != lake.Passed && verdict.Verdict != lake.Waived {
		return Output{}, fault.New(fault.QualityFailed, "publish", in.Table, "the gate is %s", verdict.Verdict)
	}
	version := table.Snap.Version()
	if table.Decision == nil || table.Decision.Attempt != in.Staged.Attempt {
		if version, err = p.commit(ctx, table, in.Staged); err != nil {
			return Output{}, err
		}
		if table, err = p.lake.Open(ctx, in.Table); err != nil {
			return Output{}, err
		}
	}
	if err := p.lake.Forward(ctx, table); err != nil {
		return Output{}, err
	}
	return Output{Table: in.Table, Version: version, Verdict: verdict.Verdict}, p.register(ctx, in.Bundle, table)
}

func (p *publisher) register(ctx context.Context, bundle string, table *lake.Table) error {
	if p.catalog == nil {
		return nil
	}
	declared, err := p.lake.Pipeline(ctx, bundle)
	if err != nil {
		return err
	}
	entry, err := table.Entry(declared)
	if err != nil {
		return err
	}
	_, err = p.catalog.Register(ctx, entry)
	return err
}

func (p *publisher) commit(ctx context.Context, table *lake.Table, ref lake.StagedRef) (int64, error) {
	decision, err := table.DecisionOf(ctx, ref.Attempt)
	if err != nil {
		return 0, err
	}
	txn, _, err := table.Staged(ctx, ref)
	if err != nil {
		return 0, err
	}
	if err := txn.VerifyFiles(ctx); err != nil {
		return 0, err
	}
	return table.Publish(ctx, txn, decision)
}
