// Package ledger is the run ledger: the documents of a run from plan to outcome, and the Delta table ops.runs with one row for each run that
// had something to do. Lineage, metrics and cost read from it.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Table is the ledger's full name.
const Table = "ops.runs"

// Tables are the full names of all tables that a pipeline's runs write, the ledger last.
func Tables(p *pipeline.Pipeline) []string {
	var names []string
	for _, t := range p.Tables {
		names = append(names, t.FullName())
		if q := t.QuarantineName(); q != "" {
			names = append(names, q)
		}
	}
	return append(names, lake.RejectedTable, Table)
}

// Plan is what a run set out to do. Its document is "plan".
type Plan struct {
	Run      string        `json:"run"`
	Pipeline string        `json:"pipeline"`
	Bundle   string        `json:"bundle"`
	Trigger  event.Trigger `json:"trigger"`
	Started  time.Time     `json:"started"`
	Sources  []string      `json:"sources"` // raw tables to load
	Silver   [][]string    `json:"silver"`  // levels of tables
	Gold     [][]string    `json:"gold"`
}

// The outcomes of a run.
const (
	Succeeded = "succeeded"
	HeldBack  = "held" // a gate closed; the other tables are published
	Failed    = "failed"
	Nothing   = "nothing_new"
)

// Outcome is how a run ended: a manifest of versions. Its document is "outcome".
type Outcome struct {
	Run      string       `json:"run"`
	Pipeline string       `json:"pipeline"`
	Status   string       `json:"status"`
	Started  time.Time    `json:"started"`
	Finished time.Time    `json:"finished"`
	Counts   lake.Counts  `json:"counts"` // of the raw rows: what silver read and where it went
	Tables   []TableState `json:"tables"`
	Held     []lake.Held  `json:"held,omitempty"`
	Error    *Error       `json:"error,omitempty"`
}

// TableState is one table after a run.
type TableState struct {
	Table    string      `json:"table"`
	Version  int64       `json:"version"`
	Changed  bool        `json:"changed"` // by this run
	Attempts []string    `json:"attempts,omitempty"`
	Counts   lake.Counts `json:"counts"`
	Items    int         `json:"items,omitempty"`
	Bytes    int64       `json:"bytes,omitempty"` // of the items
	Score    float64     `json:"score,omitempty"`
	Verdict  string      `json:"verdict,omitempty"`
}

// Error is why a run failed.
type Error struct {
	Error string `json:"error"`
	Cause string `json:"cause"`
}

// The names of a run's documents.
const (
	PlanDocument    = "plan"
	OutcomeDocument = "outcome"
)

// Ledger writes outcomes.
type Ledger struct {
	Lake   *lake.Lake
	Engine *engine.Engine
}

// Close makes the outcome of a run, stores it and adds its row. Repeated, it adds nothing.
func (l *Ledger) Close(ctx context.Context, run string, failed *Error) (Outcome, error) {
	var plan Plan
	found, err := l.Lake.GetRun(ctx, run, PlanDocument, &plan)
	if err != nil {
		return Outcome{}, err
	}
	if !found && failed == nil {
		return Outcome{}, fault.New(fault.Internal, "close", "run "+run, "it has no plan")
	}
	out := Outcome{Run: run, Pipeline: plan.Pipeline, Status: Succeeded, Started: plan.Started, Finished: l.Lake.Now().UTC(), Error: failed}
	if !found { // it failed before it had a plan
		out.Started = out.Finished
	}
	if out.Held, err = l.Lake.HeldTables(ctx, run); err != nil {
		return Outcome{}, err
	}
	tables := slices.Concat(plan.Sources, slices.Concat(plan.Silver...), slices.Concat(plan.Gold...))
	for _, name := range tables {
		state, err := l.state(ctx, run, name)
		if err != nil {
			if failed != nil {
				continue // the table may be what the run failed on
			}
			return Outcome{}, err
		}
		out.Tables = append(out.Tables, state)
		if slices.Contains(slices.Concat(plan.Silver...), name) {
			out.Counts = out.Counts.Plus(state.Counts)
		}
	}
	switch {
	case failed != nil:
		out.Status = Failed
	case len(out.Held) > 0:
		out.Status = HeldBack
	}
	if err := l.append(ctx, plan, out); err != nil {
		return Outcome{}, err
	}
	return out, l.Lake.PutRun(ctx, run, OutcomeDocument, out)
}

// state sums up what a run did to a table.
func (l *Ledger) state(ctx context.Context, run, name string) (TableState, error) {
	t, err := l.Lake.Open(ctx, name)
	if err != nil {
		return TableState{}, err
	}
	s := TableState{Table: name, Version: t.Snap.Version()}
	decisions, err := t.OfRun(ctx, run)
	if err != nil {
		return TableState{}, err
	}
	for _, d := range decisions {
		s.Changed = true
		s.Counts = s.Counts.Plus(d.Counts)
		s.Attempts = append(s.Attempts, fmt.Sprint(d.Attempt))
		s.Items += len(d.Items)
		for _, it := range d.Items {
			s.Bytes += it.Size
		}
	}
	if len(decisions) > 0 {
		v, err := t.LastVerdict(ctx, decisions[0].Attempt)
		if err != nil {
			return TableState{}, err
		}
		if v != nil {
			s.Verdict, s.Score = v.Verdict, v.Score
		}
	}
	return s, nil
}

var schema = delta.Schema{Fields: []delta.Field{
	column("run", delta.String), column("pipeline", delta.String), column("bundle", delta.String), column("trigger", delta.String),
	column("status", delta.String), column("started_at", delta.Timestamp), column("finished_at", delta.Timestamp), column("seconds", delta.Double),
	column("rows_read", delta.Long), column("rows_accepted", delta.Long), column("rows_superseded", delta.Long), column("rows_stale", delta.Long),
	column("rows_quarantined", delta.Long), column("tables", delta.String), column("held", delta.String), column("error", delta.String),
}}

func column(name string, t delta.Primitive) delta.Field {
	return delta.Field{Name: name, Type: t, Nullable: true}
}

// append adds the run's row, once. The ledger is every run's, so other runs may write there first.
func (l *Ledger) append(ctx context.Context, plan Plan, out Outcome) error {
	for try := 0; ; try++ {
		err := l.tryAppend(ctx, plan, out)
		var conflict *delta.ConflictError
		if !errors.As(err, &conflict) || try == maxTries {
			return err
		}
	}
}

// maxTries bounds how often a run makes way for others.
const maxTries = 10

func (l *Ledger) tryAppend(ctx context.Context, plan Plan, out Outcome) error {
	table, err := l.Lake.Open(ctx, Table)
	if err != nil {
		return err
	}
	session, err := l.Engine.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	known, err := l.known(ctx, session, table, out)
	if err != nil || known {
		return err
	}
	attempt := l.Lake.NewAttempt()
	adds, err := session.Write(ctx, engine.Target{Store: l.Lake.Store, Table: table.Delta, Schema: schema, Attempt: attempt, Now: l.Lake.Now()}, row(plan, out))
	if err != nil {
		return err
	}
	txn := table.Snap.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Attempt: attempt})
	if err := lake.Evolve(table.Delta, table.Snap, txn, schema, nil); err != nil {
		return err
	}
	_, err = txn.Add(adds...).Commit(ctx)
	return err
}

// known tells whether the ledger holds this end of the run already: a run that failed may be resumed and then succeed.
func (l *Ledger) known(ctx context.Context, s *engine.Session, table *lake.Table, out Outcome) (bool, error) {
	if !table.Exists() {
		return false, nil
	}
	rows, err := s.Relation(ctx, table.Live(table.Snap))
	if err != nil {
		return false, err
	}
	var n int64
	err = s.Row(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE run = %s AND status = %s", rows, engine.Literal(out.Run), engine.Literal(out.Status)), &n)
	return n > 0, err
}

func row(plan Plan, out Outcome) string {
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err) // plain structs
		}
		return engine.Literal(string(raw))
	}
	stamp := func(t time.Time) string {
		return "TIMESTAMPTZ " + engine.Literal(t.UTC().Format("2006-01-02 15:04:05.000000+00"))
	}
	failed := "NULL"
	if out.Error != nil {
		failed = text(out.Error)
	}
	c := out.Counts
	return fmt.Sprintf(`SELECT %s AS run, %s AS pipeline, %s AS bundle, %s AS trigger, %s AS status, %s AS started_at, %s AS finished_at, %f AS seconds,
		%d AS rows_read, %d AS rows_accepted, %d AS rows_superseded, %d AS rows_stale, %d AS rows_quarantined, %s AS tables, %s AS held, %s AS error`,
		engine.Literal(out.Run), engine.Literal(out.Pipeline), engine.Literal(plan.Bundle), text(plan.Trigger), engine.Literal(out.Status),
		stamp(out.Started), stamp(out.Finished), out.Finished.Sub(out.Started).Seconds(), c.Read, c.Accepted, c.Superseded, c.Stale, c.Quarantined,
		text(out.Tables), text(out.Held), failed)
}
