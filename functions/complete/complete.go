// Package complete is the last step of a run that went through: it writes the manifest of versions and the run's row in the ledger. Before, it
// takes out of the catalog what the pipeline does not declare any more; the tables themselves stay.
package complete

import (
	"context"

	"github.com/lakestep/lakestep/shared/catalog"
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

// New makes the step; the catalog may be nil.
func New(l *lake.Lake, e *engine.Engine, c catalog.Catalog) step.Step {
	book := &ledger.Ledger{Lake: l, Engine: e}
	return step.New("complete", func(ctx context.Context, in Input) (Output, error) {
		if err := prune(ctx, l, c, in); err != nil {
			return Output{}, err
		}
		out, err := book.Close(ctx, in.Run, nil)
		return Output{Run: in.Run, Status: out.Status, Held: len(out.Held)}, err
	})
}

func prune(ctx context.Context, l *lake.Lake, c catalog.Catalog, in Input) error {
	if c == nil {
		return nil
	}
	p, err := l.Pipeline(ctx, in.Bundle)
	if err != nil {
		return err
	}
	_, err = c.Prune(ctx, catalog.Declared{Pipeline: p.Name, Lake: l.URL, Run: in.Run, Tables: lake.Published(p)})
	return err
}
