package dml

import (
	"context"

	"github.com/lakestep/lakestep/shared/delta"
)

// Delete takes rows away: those for which the condition is true.
type Delete struct {
	Where string // SQL condition; "" for all rows
}

func (d Delete) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	return nil, errNotYet
}

// Update changes rows: those for which the condition is true.
type Update struct {
	Set   map[string]string // column to SQL expression over the old row
	Where string            // SQL condition; "" for all rows
}

func (u Update) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	return nil, errNotYet
}
