// Package validate is the first step: it turns an event into the run's plan. It does not trust the event's key but looks itself what the
// sources and tables hold beyond their cursors; when that is nothing, the run ends at once.
package validate

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/transform"
)

// Input is the state machine's input.
type Input struct {
	Run     string        `json:"run"`
	Bundle  string        `json:"bundle"`
	Trigger event.Trigger `json:"trigger"`
}

// Output is the plan in short: names only.
type Output struct {
	Run     string     `json:"run"`
	Bundle  string     `json:"bundle"`
	Nothing bool       `json:"nothing"` // nothing is new
	Sources []string   `json:"sources"` // raw tables to load
	Silver  [][]string `json:"silver"`  // levels of tables to make
	Gold    [][]string `json:"gold"`
}

// Options are what the step needs.
type Options struct {
	Lake   *lake.Lake
	Engine *engine.Engine
	Open   func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error)
}

// New makes the step.
func New(o Options) step.Step { return step.New("validate", o.run) }

func (o Options) run(ctx context.Context, in Input) (Output, error) {
	if in.Run == "" || in.Bundle == "" {
		return Output{}, fault.New(fault.InvalidInput, "start", "run", "the input lacks run or bundle")
	}
	p, err := o.Lake.Pipeline(ctx, in.Bundle)
	if err != nil {
		return Output{}, err
	}
	if err := o.rollForward(ctx, p); err != nil {
		return Output{}, err
	}
	overrides, err := o.overrides(ctx, p, in)
	if err != nil {
		return Output{}, err
	}
	pending, err := o.pending(ctx, p, overrides)
	if err != nil {
		return Output{}, err
	}
	for _, name := range slices.Concat(overrides.Waive, overrides.RefuseBatch, overrides.Refresh, slices.Collect(maps.Keys(overrides.Backfill))) {
		pending[name] = true
	}
	out := Output{Run: in.Run, Bundle: in.Bundle, Nothing: len(pending) == 0, Sources: []string{}, Silver: [][]string{}, Gold: [][]string{}}
	if out.Nothing {
		return out, nil
	}
	for _, t := range p.Tables {
		if t.Layer == pipeline.Bronze {
			out.Sources = append(out.Sources, t.FullName())
		}
	}
	out.Silver, out.Gold = levels(p, pipeline.Silver), levels(p, pipeline.Gold)
	plan := ledger.Plan{Run: in.Run, Pipeline: p.Name, Bundle: in.Bundle, Trigger: in.Trigger, Started: o.Lake.Now().UTC(), Sources: out.Sources, Silver: out.Silver, Gold: out.Gold}
	var before ledger.Plan
	if found, err := o.Lake.GetRun(ctx, in.Run, ledger.PlanDocument, &before); err != nil {
		return Output{}, err
	} else if found {
		plan.Started = before.Started
	}
	return out, o.Lake.PutRun(ctx, in.Run, ledger.PlanDocument, plan)
}

func levels(p *pipeline.Pipeline, layer pipeline.Layer) [][]string {
	if l := p.Levels(layer); l != nil {
		return l
	}
	return [][]string{}
}

// rollForward finishes what an earlier run left between a commit and its refused rows.
func (o Options) rollForward(ctx context.Context, p *pipeline.Pipeline) error {
	for _, t := range p.Tables {
		table, err := o.Lake.Open(ctx, t.FullName())
		if err != nil {
			return err
		}
		if err := o.Lake.Forward(ctx, table); err != nil {
			return err
		}
	}
	return nil
}

// overrides takes an operator's words out of a manual trigger and records them for the run.
func (o Options) overrides(ctx context.Context, p *pipeline.Pipeline, in Input) (lake.Overrides, error) {
	var over lake.Overrides
	if len(in.Trigger.Input) == 0 {
		return over, nil
	}
	if err := json.Unmarshal(in.Trigger.Input, &over); err != nil {
		return over, fault.New(fault.InvalidInput, "read", "trigger", "%w", err)
	}
	for _, name := range slices.Concat(over.Refresh, slices.Collect(maps.Keys(over.Backfill))) {
		if t, ok := p.Table(name); !ok || t.Layer != pipeline.Bronze {
			return over, fault.New(fault.InvalidInput, "read again", name, "pipeline %s has no bronze table of this name", p.Name)
		}
	}
	for _, name := range slices.Concat(over.Waive, over.RefuseBatch) {
		t, ok := p.Table(name)
		if !ok || t.Layer == pipeline.Bronze {
			return over, fault.New(fault.InvalidInput, "waive", name, "pipeline %s has no silver or gold table of this name", p.Name)
		}
		if over.RefusesBatch(name) && t.QuarantineName() == "" {
			return over, fault.New(fault.InvalidInput, "quarantine batch of", name, "the table has no quarantine").
				WithHint("only silver tables have one; --waive lets the batch through")
		}
		if over.Reason == "" {
			return over, fault.New(fault.InvalidInput, "waive", name, "no reason is given").WithHint("say why with --reason: it is recorded with the verdict")
		}
	}
	return over, o.Lake.PutOverrides(ctx, in.Run, over)
}

// pending tells which tables have something to take in: their own inputs moved, or a table before them is pending.
func (o Options) pending(ctx context.Context, p *pipeline.Pipeline, over lake.Overrides) (map[string]bool, error) {
	pending := map[string]bool{}
	runner := &transform.Runner{Lake: o.Lake, Engine: o.Engine}
	for _, t := range p.Tables {
		var work bool
		var err error
		switch {
		case slices.Contains(over.Refresh, t.FullName()): // its position does not count, and may be lost
			work = true
		case t.Layer == pipeline.Bronze:
			work, err = o.landed(ctx, p, t)
		default:
			work, err = runner.Pending(ctx, p, t)
		}
		if err != nil {
			return nil, err
		}
		if work {
			pending[t.FullName()] = true
		}
	}
	return pending, nil
}

func (o Options) landed(ctx context.Context, p *pipeline.Pipeline, t *pipeline.Table) (bool, error) {
	source, stream, ok := p.Stream(t.Stream)
	if !ok {
		return false, fault.New(fault.Internal, "plan", t.FullName(), "stream %s is not declared", t.Stream)
	}
	src, err := o.Open(ctx, p, source)
	if err != nil {
		return false, err
	}
	defer src.Close()
	table, err := o.Lake.Open(ctx, t.FullName())
	if err != nil {
		return false, err
	}
	seen, err := table.Seen(ctx)
	if err != nil {
		return false, err
	}
	backlog, err := src.Pending(ctx, stream.Name, seen)
	return backlog.Items > 0, err
}
