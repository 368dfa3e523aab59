package dml

import (
	"context"
	"errors"

	"github.com/lakestep/lakestep/shared/delta"
)

var errNotYet = errors.New("not yet")

// Merge brings rows of a source into the table. In its SQL, t is a row of the table and s one of the source. For each
// row, the first clause whose condition holds is what happens; without one the row stays as it is (a source row is
// passed over). More than one source row for one row of the table that a clause would change is an InvalidInput fault.
type Merge struct {
	Source             string   // SELECT
	Keys               []string // columns of both that must be equal: a row with a NULL in one matches nothing
	On                 string   // or the condition of a match over t and s, in place of Keys
	Matched            []Clause // for rows of the table with a match: update or delete
	NotMatched         []Clause // for rows of the source without one: insert (only s is known)
	NotMatchedBySource []Clause // for rows of the table without one: update or delete (only t is known)
	Evolve             Evolution
}

// Clause is one case of a merge.
type Clause struct {
	When   string            // condition; "" always
	Delete bool              // the row of the table goes; Set is not used
	Set    map[string]string // column to SQL expression; nil: every column of the source's row by name
}

// Evolution permits what rows may change of a table's schema; what is not permitted is a SchemaBroken fault.
type Evolution struct {
	AddColumns bool // that the table lacks, in structs too; the rows there have NULL
	WidenTypes bool // to one that holds all values of the old; the table must have delta.enableTypeWidening=true
	AllowNulls bool // in columns that were NOT NULL
}

func (m Merge) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	return nil, errNotYet
}
