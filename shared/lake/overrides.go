package lake

import (
	"context"
	"slices"

	"github.com/lakestep/lakestep/shared/connector"
)

// Overrides are an operator's words for one run: how to go on after a gate closed or a source's position was lost.
type Overrides struct {
	Waive       []string `json:"waive,omitempty"`            // tables whose closed gate lets the batch through
	RefuseBatch []string `json:"quarantine_batch,omitempty"` // silver tables whose whole batch goes to quarantine
	Reason      string   `json:"reason,omitempty"`           // why; recorded with the verdict

	Refresh  []string                    `json:"full_refresh,omitempty"` // raw tables that read their source from the beginning again
	Backfill map[string]connector.Window `json:"backfill,omitempty"`     // raw tables that read a range of their source again
}

const overridesDocument = "overrides"

// PutOverrides records them for a run.
func (l *Lake) PutOverrides(ctx context.Context, run string, o Overrides) error {
	return l.PutRun(ctx, run, overridesDocument, o)
}

// Overrides gives those of a run.
func (l *Lake) Overrides(ctx context.Context, run string) (Overrides, error) {
	var o Overrides
	_, err := l.GetRun(ctx, run, overridesDocument, &o)
	return o, err
}

// Again tells whether a raw table is to read again what it has read.
func (o Overrides) Again(table string) bool {
	_, backfilled := o.Backfill[table]
	return backfilled || slices.Contains(o.Refresh, table)
}

// Waives tells whether a closed gate of the table is waived.
func (o Overrides) Waives(table string) bool { return slices.Contains(o.Waive, table) }

// RefusesBatch tells whether the whole batch of the table goes to quarantine.
func (o Overrides) RefusesBatch(table string) bool { return slices.Contains(o.RefuseBatch, table) }
