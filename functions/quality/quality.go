// Package quality is the step that audits a staged commit: the table's rules run on the table as it will be, before any reader sees it. The
// verdict is a document on exactly that commit; a closed gate holds the table and all that reads it back, and readers stay on the last good
// version.
package quality

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/quality"
	"github.com/lakestep/lakestep/shared/step"
)

// Output is the verdict in short.
type Output struct {
	Table   string  `json:"table"`
	Verdict string  `json:"verdict"` // passed, waived or closed
	Score   float64 `json:"score"`
	Checks  int     `json:"checks"`
	Failed  int     `json:"failed"`  // checks that close the gate
	Warned  int     `json:"warned"`  // checks that fail and only warn
	Summary string  `json:"summary"` // of the failed ones
}

type auditor struct {
	lake   *lake.Lake
	engine *engine.Engine
}

// New makes the step.
func New(l *lake.Lake, e *engine.Engine) step.Step {
	return step.New("quality", (&auditor{l, e}).run)
}

func (a *auditor) run(ctx context.Context, in lake.StagedInput) (Output, error) {
	p, declare, err := a.lake.Declared(ctx, in.Bundle, in.Table)
	if err != nil {
		return Output{}, err
	}
	table, err := a.lake.Open(ctx, in.Table)
	if err != nil {
		return Output{}, err
	}
	decision, err := table.DecisionOf(ctx, in.Staged.Attempt)
	if err != nil {
		return Output{}, err
	}
	session, err := a.engine.Session(ctx)
	if err != nil {
		return Output{}, err
	}
	defer session.Close()
	audit := quality.Audit{Session: session, Declare: declare, Decision: decision,
		Resolve: func(ctx context.Context, name string) (quality.Other, error) {
			return a.other(ctx, session, p, decision, name)
		}}
	if audit.Rows, audit.Written, err = relations(ctx, session, table, in.Staged); err != nil {
		return Output{}, err
	}
	checks, err := audit.Run(ctx)
	if err != nil {
		return Output{}, err
	}
	return a.judge(ctx, in, table, decision, checks)
}

// other is a table as the staged commit saw it.
func (a *auditor) other(ctx context.Context, s *engine.Session, p *pipeline.Pipeline, d *lake.Decision, name string) (o quality.Other, err error) {
	in, existed := d.Inputs[name]
	if !existed {
		return o, nil
	}
	table, snap, err := a.lake.At(ctx, name, in)
	if err != nil {
		return o, err
	}
	declare, _ := p.Table(name)
	if _, marked := snap.Schema().Field(pipeline.IsDeleted); marked && declare != nil { // not before it was made anew with soft deletes
		o.Deletes = declare.Deletes
	}
	o.Rows, err = s.Relation(ctx, table.Live(snap))
	return o, err
}

// judge records the verdict, and the hold when the gate is closed.
func (a *auditor) judge(ctx context.Context, in lake.StagedInput, table *lake.Table, d *lake.Decision, checks []lake.Check) (Output, error) {
	overrides, err := a.lake.Overrides(ctx, in.Run)
	if err != nil {
		return Output{}, err
	}
	failures := quality.Failures(checks)
	v := &lake.Verdict{Table: in.Table, Attempt: in.Staged.Attempt, Staged: in.Staged.SHA256, Verdict: lake.Passed, Run: in.Run, Checks: checks,
		Score: quality.Score(checks, d.Counts.Quarantined, d.Counts.Read)}
	out := Output{Table: in.Table, Score: v.Score, Checks: len(checks), Failed: len(failures), Summary: summary(failures)}
	for _, c := range checks {
		if !c.Passed && c.Severity == string(pipeline.OnFailureWarn) {
			out.Warned++
		}
	}
	switch {
	case len(failures) > 0 && overrides.Waives(in.Table):
		v.Verdict, v.Reason = lake.Waived, overrides.Reason
	case len(failures) > 0:
		v.Verdict = lake.Closed
	}
	out.Verdict = v.Verdict
	if err := table.PutVerdict(ctx, v); err != nil {
		return Output{}, err
	}
	if v.Verdict == lake.Closed {
		return out, a.lake.Hold(ctx, in.Run, lake.Held{Table: in.Table, Cause: in.Table, Reason: out.Summary, Attempt: in.Staged.Attempt})
	}
	return out, a.lake.Release(ctx, in.Run, in.Table)
}

// maxSummary keeps the payload small however many rules fail.
const maxSummary = 500

func summary(failures []lake.Check) string {
	texts := make([]string, len(failures))
	for i, c := range failures {
		what := c.Message
		if what == "" {
			what = fmt.Sprintf("%d of %d rows fail", c.Failed, c.Rows)
		}
		texts[i] = c.Name + ": " + what
	}
	s := strings.Join(texts, "; ")
	if len(s) > maxSummary {
		s = strings.ToValidUTF8(s[:maxSummary], "") + "..."
	}
	return s
}

// relations are the table as it will be, and the rows that the batch itself brought: the change data where there is any, since rewritten
// files hold old rows too, else all added files.
func relations(ctx context.Context, s *engine.Session, t *lake.Table, ref lake.StagedRef) (rows, written string, err error) {
	txn, after, err := t.Staged(ctx, ref)
	if err != nil {
		return "", "", err
	}
	if rows, err = s.Relation(ctx, t.Live(after)); err != nil {
		return "", "", err
	}
	var added []delta.Add
	var feed []engine.File
	for _, action := range txn.Actions() {
		switch x := action.(type) {
		case delta.Add:
			added = append(added, x)
		case delta.CDC:
			feed = append(feed, engine.File{Path: x.Path, PartitionValues: x.PartitionValues})
		}
	}
	if len(feed) == 0 {
		written, err = s.Relation(ctx, t.Scan(after, engine.Files(added)))
		return rows, written, err
	}
	sc := t.Scan(after, feed)
	sc.Extra = []string{"_change_type"}
	relation, err := s.Relation(ctx, sc)
	return rows, "(SELECT * EXCLUDE (_change_type) FROM " + relation + " WHERE _change_type IN ('insert', 'update_postimage'))", err
}
