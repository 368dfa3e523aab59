package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
)

// reasonColumn is the column of a quarantine table that names the rule: "reason", or "_reason" where the received rows have one of their own.
func reasonColumn(received delta.Schema) string {
	for _, f := range received.Fields {
		if strings.EqualFold(f.Name, "reason") {
			return "_reason"
		}
	}
	return "reason"
}

// refuse writes the rows that fail a rule as files of the quarantine table and notes them in the decision.
func (j *job) refuse(ctx context.Context, d *lake.Decision) (int64, error) {
	source := j.Table.Model.Changes[0]
	received := viewName("changes", source)
	if err := j.findRefused(ctx, received); err != nil {
		return 0, err
	}
	var n int64
	if err := j.session.Row(ctx, "SELECT count(*) FROM _refused", &n); err != nil {
		return 0, err
	}
	if n == 0 && j.table.Decision != nil {
		return 0, nil
	}
	schema := j.inputs[source].Snap.Schema()
	reason := reasonColumn(schema)
	schema.Fields = append(schema.Fields[:len(schema.Fields):len(schema.Fields)], delta.Field{Name: reason, Type: delta.String, Nullable: true})
	name := j.Table.QuarantineName()
	if err := j.Lake.Takes(ctx, name, schema); err != nil {
		return 0, err
	}
	d.Refused = &lake.Refused{Attempt: j.attempt, Table: name, Schema: schema, Rows: n}
	if n == 0 {
		return 0, nil // the first decision creates the quarantine, so that it is there to be looked at
	}
	target := engine.Target{Store: j.Lake.Store, Table: j.Lake.Delta(name), Schema: schema, Attempt: j.attempt, Now: j.Lake.Now()}
	var err error
	d.Refused.Adds, err = j.session.Write(ctx, target, fmt.Sprintf("SELECT b.* EXCLUDE (_row), r._reason AS %s FROM %s b JOIN _refused r USING (_row)", reason, received))
	return n, err
}

// findRefused makes _refused: _row and _reason of the rows that do not go into the table. Every received row must come back from the model
// exactly once, or it would be counted twice or lost: those that do not come back are refused as not_in_model.
func (j *job) findRefused(ctx context.Context, received string) error {
	var in, out, distinct, unknown int64
	if err := j.session.Row(ctx, "SELECT count(*) FROM "+received, &in); err != nil {
		return err
	}
	if err := j.session.Row(ctx, "SELECT count(*), count(DISTINCT _row) FROM "+typedRows, &out, &distinct); err != nil {
		return err
	}
	if err := j.session.Row(ctx, fmt.Sprintf("SELECT count(*) FROM %s t ANTI JOIN %s b USING (_row)", typedRows, received), &unknown); err != nil {
		return err
	}
	switch {
	case unknown > 0:
		return fault.New(fault.InvalidInput, "run", j.Table.Model.File, "the _row of %d rows is not that of a received row", unknown).
			WithHint("pass _row on as it is")
	case out != distinct:
		return fault.New(fault.InvalidInput, "run", j.Table.Model.File, "%d rows come from %d received rows: a silver model gives one row for each", out, distinct).
			WithHint("a join that finds several rows, or an unnest, belongs into a gold model")
	}
	refused := "SELECT _row, _reason FROM " + typedRows + " WHERE _reason IS NOT NULL"
	if in != out {
		refused += fmt.Sprintf(" UNION ALL SELECT _row, 'not_in_model' FROM %s b ANTI JOIN %s t USING (_row)", received, typedRows)
	}
	return j.session.Exec(ctx, "CREATE TEMP TABLE _refused AS "+refused)
}
