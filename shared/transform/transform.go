// Package transform runs a table's model over what is new in its inputs and stages the outcome: the common path of the silver and gold steps.
//
// A model is a SELECT. Its changes become views of the rows that the inputs gained since the table's own cursor, its refs views of whole
// tables. In silver each input row comes back as one row, by its _row; rows that fail a rule go to the quarantine. What the rows do to
// the table is package materialize's business; nothing is visible to readers until the staged commit is published.
package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/materialize"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// The outcomes of a transformation.
const (
	Staged    = "staged"
	Unchanged = "unchanged" // nothing is new
	Waiting   = "waiting"   // a table that the model refers to does not exist yet
)

// Request names the table to make.
type Request struct {
	Run       string
	Pipeline  *pipeline.Pipeline
	Table     *pipeline.Table
	RefuseAll bool // quarantine the whole batch, by an operator's word (silver)
}

// Outcome is what became of it.
type Outcome struct {
	Status   string
	Waits    string // for Waiting: the table that is missing
	Staged   lake.StagedRef
	Decision *lake.Decision
	Inserted int64
	Updated  int64
	Deleted  int64
}

// Runner runs transformations.
type Runner struct {
	Lake   *lake.Lake
	Engine *engine.Engine
}

// job is one transformation on its way.
type job struct {
	*Runner
	Request
	session *engine.Session
	table   *lake.Table
	inputs  map[string]*lake.Table
	gains   map[string]lake.Gain
	attempt int64
	model   delta.Schema // of the model's result, without _row
}

// Run makes the table, on the state that it opens: rows which that state's decision refused are brought in first (lake.Forward), since the
// next decision takes its place.
func (r *Runner) Run(ctx context.Context, req Request) (Outcome, error) {
	table, err := r.Lake.Open(ctx, req.Table.FullName())
	if err != nil {
		return Outcome{}, err
	}
	if err := r.Lake.Forward(ctx, table); err != nil {
		return Outcome{}, err
	}
	j := &job{Runner: r, Request: req, table: table, attempt: r.Lake.NewAttempt()}
	status, waits, err := j.look(ctx)
	if err != nil || status != Staged {
		return Outcome{Status: status, Waits: waits}, err
	}
	if j.session, err = r.Engine.Session(ctx); err != nil {
		return Outcome{}, err
	}
	defer j.session.Close()
	return j.make(ctx)
}

// Pending tells whether a table's inputs hold something that it has not read.
func (r *Runner) Pending(ctx context.Context, p *pipeline.Pipeline, t *pipeline.Table) (bool, error) {
	table, err := r.Lake.Open(ctx, t.FullName())
	if err != nil {
		return false, err
	}
	j := &job{Runner: r, Request: Request{Pipeline: p, Table: t}, table: table}
	status, _, err := j.look(ctx)
	return status == Staged, err
}

// look opens the inputs and tells whether there is something to do: Staged, Unchanged or Waiting.
func (j *job) look(ctx context.Context) (status, waits string, err error) {
	m := j.Table.Model
	j.inputs, j.gains = map[string]*lake.Table{}, map[string]lake.Gain{}
	for _, name := range j.Table.Inputs {
		if j.inputs[name], err = j.Lake.Open(ctx, name); err != nil {
			return "", "", err
		}
	}
	for _, name := range m.Refs {
		if !j.inputs[name].Exists() {
			return Waiting, name, nil
		}
	}
	work := false
	for _, name := range m.Changes {
		g, err := j.inputs[name].Since(ctx, j.seen(name))
		if err != nil {
			return "", "", err
		}
		j.gains[name] = g
		work = work || g.NewRows
	}
	if len(m.Changes) == 0 { // all of the inputs is read: work is any other version of one, or another model
		work = j.table.Decision == nil || j.table.Decision.Model != j.digest()
		for _, name := range m.Refs {
			in := j.seen(name)
			work = work || in == nil || *in != (lake.Input{Version: j.inputs[name].Snap.Version(), TableID: j.inputs[name].Snap.Metadata().ID})
		}
	}
	if !work {
		return Unchanged, "", nil
	}
	return Staged, "", nil
}

// seen is how far the table has read an input; nil when it has not.
func (j *job) seen(name string) *lake.Input {
	if j.table.Decision == nil {
		return nil
	}
	in, ok := j.table.Decision.Inputs[name]
	if !ok {
		return nil
	}
	return &in
}

// digest identifies everything that decides what becomes of a row.
func (j *job) digest() string {
	t := j.Table
	model, err := t.Model.Render(viewName) // with the values of its variables
	if err != nil {
		panic(err) // the names are ours, on one line
	}
	parts := []any{model.SQL, t.Materialized, t.UniqueKey, t.SequenceBy, t.TrackedColumns, t.History, t.SurrogateKey, rules(t.Rules), j.RefuseAll}
	if t.Operation != "" {
		parts = append(parts, t.Operation, t.Deletes, t.Unchanged)
	}
	raw, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func rules(rs []pipeline.Rule) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = strings.Join([]string{r.Name, r.Expr, string(r.OnFailure)}, "\x00")
	}
	return out
}

func (j *job) make(ctx context.Context) (Outcome, error) {
	if err := j.views(ctx); err != nil {
		return Outcome{}, err
	}
	if err := j.compile(ctx); err != nil {
		return Outcome{}, err
	}
	schema, err := j.schema()
	if err != nil {
		return Outcome{}, err
	}
	if err := j.runModel(ctx, schema); err != nil {
		return Outcome{}, err
	}
	d := j.table.Next(j.Request.Run, j.attempt)
	d.Model, d.Kind = j.digest(), kind(j.Table)
	var refused int64
	if j.Table.Layer == pipeline.Silver {
		if refused, err = j.refuse(ctx, d); err != nil {
			return Outcome{}, err
		}
	} else if err := j.rowsHold(ctx); err != nil {
		return Outcome{}, err
	}
	mat := materialize.Job{Table: j.table, Declare: j.Table, Schema: schema, Rows: goodRows, Control: j.controls(), Decided: j.arbiter() != nil,
		To: &dml.Table{Store: j.Lake.Store, Delta: j.table.Delta, Session: j.session, Attempt: func() int64 { return j.attempt }, Now: j.Lake.Now}}
	res, err := mat.Run(ctx)
	if err != nil {
		return Outcome{}, err
	}
	d.Counts = res.Counts.Plus(lake.Counts{Read: refused, Quarantined: refused})
	d.Control = res.Control
	for name, in := range j.inputs {
		if g, ok := j.gains[name]; ok {
			d.Inputs[name] = g.Input
		} else if in.Exists() {
			d.Inputs[name] = lake.Input{Version: in.Snap.Version(), TableID: in.Snap.Metadata().ID}
		}
	}
	if err := j.table.Save(ctx, d); err != nil {
		return Outcome{}, err
	}
	staged, err := j.stage(ctx, d, schema, res)
	return Outcome{Status: Staged, Staged: lake.StagedRef{Attempt: staged.Attempt, SHA256: staged.SHA256}, Decision: d,
		Inserted: res.Inserted, Updated: res.Updated, Deleted: res.Deleted}, err
}

// stage writes the commit that waits for its audit.
func (j *job) stage(ctx context.Context, d *lake.Decision, schema delta.Schema, res materialize.Result) (delta.Staged, error) {
	op := delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Attempt: j.attempt,
		Metrics: map[string]int64{"numOutputRows": res.Inserted + res.Updated, "numTargetRowsInserted": res.Inserted, "numTargetRowsUpdated": res.Updated}}
	if j.Table.Operation != "" {
		op.Metrics["numTargetRowsDeleted"] = res.Deleted
	}
	switch j.Table.Materialized {
	case pipeline.Full:
		op.Parameters["mode"] = "Overwrite"
	case pipeline.Merge, pipeline.SCD2:
		op.Name, op.Parameters = "MERGE", map[string]any{"predicate": strings.Join(j.Table.UniqueKey, ", ")}
	}
	res.Operation = op
	txn := res.Txn().SetTxn(lake.AppID(j.table.Name), d.Attempt).ReadAll()
	if err := lake.Evolve(j.table.Delta, j.table.Snap, txn, schema, materialize.Properties(j.Table.Materialized)); err != nil {
		return delta.Staged{}, err
	}
	return txn.Stage(ctx, j.attempt)
}

func (j *job) controls() []pipeline.Test {
	var out []pipeline.Test
	for _, t := range j.Table.Tests {
		if t.Kind == pipeline.ControlTotal {
			out = append(out, t)
		}
	}
	return out
}

// schema holds the model's columns against the table as it is and against its contract.
func (j *job) schema() (delta.Schema, error) {
	columns := materialize.Columns(j.Table, j.model)
	if j.Table.Contract != nil {
		if err := CheckContract(j.Table, columns); err != nil {
			return delta.Schema{}, err
		}
	}
	if !j.table.Exists() {
		return columns, nil
	}
	if d := j.table.Decision; d != nil && d.Kind != "" && d.Kind != kind(j.Table) {
		return delta.Schema{}, fault.New(fault.SchemaBroken, "check", j.Table.Pos.String(), "%s is a table of %s, and is declared as %s", j.Table.FullName(), d.Kind, kind(j.Table)).
			WithHint("its rows do not fit: give the changed table another name, or remove the table, with its quarantine, to rebuild it")
	}
	have := j.table.Snap.Schema()
	for _, f := range have.Fields {
		if _, ok := columns.Field(f.Name); !ok {
			return delta.Schema{}, fault.New(fault.SchemaBroken, "check", j.Table.FullName(), "its model %s no longer gives column %s", j.Table.Model.File, f.Name).
				WithHint("readers rely on the column: keep it, or give the changed table another name")
		}
	}
	schema, _, err := lake.Widen(have, columns)
	if err != nil {
		return delta.Schema{}, fault.New(fault.SchemaBroken, "check", j.Table.FullName(), "%w", err).WithHint("%s", fault.HintOf(err))
	}
	return schema, nil
}

// kind is how a table is made, as it must stay: its rows mean something else otherwise.
func kind(t *pipeline.Table) string {
	k := fmt.Sprintf("%s(%s)", t.Materialized, strings.Join(t.UniqueKey, ", "))
	if t.Operation != "" { // the columns that tell of events may change their names: they are not stored
		k += fmt.Sprintf(" with %s deletes", t.Deletes)
	}
	return k
}

// CheckContract holds the columns that a table will have against its contract.
func CheckContract(t *pipeline.Table, columns delta.Schema) error {
	fields := make([]contract.Field, len(columns.Fields))
	for i, f := range columns.Fields {
		fields[i] = contract.Field{Name: f.Name, Type: f.Type.String()}
	}
	problems := t.Contract.Check(fields)
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.String()
	}
	at := t.Contract.Pos
	if c, ok := t.Contract.Column(problems[0].Column); ok {
		at = c.Pos
	}
	return fault.New(fault.SchemaBroken, "check", at.String(), "the model of %s, %s, does not give what its contract promises: %s", t.FullName(), t.Model.File, strings.Join(texts, "; ")).
		WithHint("change the model, or agree on a new version of the contract")
}

// rowsHold refuses rows that do not say what to do with the table. A silver table would send them to its quarantine.
func (j *job) rowsHold(ctx context.Context) error {
	if j.Table.Operation != "" {
		if err := j.eventsHold(ctx); err != nil {
			return err
		}
	}
	return j.keysPresent(ctx)
}

// keysPresent refuses rows that a merge could not find again. A contract asks for the same, later and with more words.
func (j *job) keysPresent(ctx context.Context) error {
	columns := slices.Clone(j.Table.UniqueKey)
	if j.Table.SequenceBy != "" {
		columns = append(columns, j.Table.SequenceBy)
	}
	if len(columns) == 0 {
		return nil
	}
	null := anyNull(columns)
	if j.Table.Operation != "" { // a truncate is about no key
		null = fmt.Sprintf("(%s) AND (%s <> '%s' OR %s)", null, materialize.OpColumn, materialize.Truncate, anyNull([]string{j.Table.SequenceBy}))
	}
	var n int64
	if err := j.session.Row(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", goodRows, null), &n); err != nil || n == 0 {
		return err
	}
	return fault.New(fault.SchemaBroken, "run", j.Table.Model.File, "%d rows have a NULL among %s", n, strings.Join(columns, ", ")).
		WithHint("unique_key and sequence_by must not be NULL: leave such rows out in the model, or give them a value")
}

func anyNull(columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = engine.Ident(c) + " IS NULL"
	}
	return strings.Join(out, " OR ")
}
