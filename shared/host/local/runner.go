// Package local runs a state machine on this machine: it drives the decisions of package asl with the steps of
// a step.Set, and keeps the history in a journal on disk, so that a run that was killed goes on where it was.
package local

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/step"
)

// Options are what a Runner works with. All fields but Observe are needed.
type Options struct {
	Definition  []byte // of the state machine
	File        string // its name in messages
	Steps       step.Set
	Dir         string // of the journals; made when it is missing
	MaxParallel int    // steps at once, at least 1
	Clock       Clock
	Observe     func(Event) // called by one goroutine at a time, in order; may be nil
}

// Clock is the time that a run sees. WallClock is the real one. Time limits of steps are measured by the
// context package, in real time.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// WallClock is the system's clock.
type WallClock struct{}

// Now is the current time in UTC.
func (WallClock) Now() time.Time { return time.Now().UTC() }

// After is time.After.
func (WallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Outcome is how an execution ended.
type Outcome struct {
	ID     string          `json:"id"`
	Status asl.Status      `json:"status"`
	Output json.RawMessage `json:"output,omitempty"` // of one that succeeded
	Error  string          `json:"error,omitempty"`  // a fault kind or a States. name
	Cause  string          `json:"cause,omitempty"`
}

// Runner runs executions of one definition. It may be used by several goroutines, each on another execution.
type Runner struct {
	options Options
	machine *asl.Machine
}

// New checks the definition and that each of its tasks has a step.
func New(o Options) (*Runner, error) {
	if o.MaxParallel < 1 || o.Clock == nil || o.Dir == "" {
		return nil, fault.New(fault.Internal, "set up", "local runner", "MaxParallel, Clock and Dir are needed")
	}
	if o.Observe == nil {
		o.Observe = func(Event) {}
	}
	m, err := load(o.File, o.Definition, o.Steps)
	if err != nil {
		return nil, err
	}
	return &Runner{options: o, machine: m}, nil
}

func load(file string, definition []byte, steps step.Set) (*asl.Machine, error) {
	m, err := asl.Parse(file, definition)
	if err != nil {
		return nil, err
	}
	for _, resource := range m.Resources() {
		if _, ok := steps[stepName(resource)]; !ok {
			return nil, fault.New(fault.InvalidInput, "load", file, "no step for the resource %q; there are %s",
				resource, strings.Join(steps.Names(), ", ")).
				WithHint("name a step in the definition as in ${Bronze}")
		}
	}
	return m, nil
}

// stepName turns ${Bronze} into bronze; anything else names no local step.
func stepName(resource string) string {
	name, ok := strings.CutPrefix(resource, "${")
	if !ok {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(name, "}"))
}

// Start begins the execution called id and runs it to its end. An execution that fails is an Outcome with
// status FAILED, not an error; an error means that the run did not come to its end and can be resumed.
func (r *Runner) Start(ctx context.Context, id string, input json.RawMessage) (Outcome, error) {
	if len(input) == 0 {
		input = json.RawMessage("{}")
	}
	if !json.Valid(input) {
		return Outcome{}, fault.New(fault.InvalidInput, "start", id, "the input is not JSON")
	}
	h := header{Journal: journalVersion, ID: id, Start: r.options.Clock.Now(), Input: input, File: r.options.File,
		SHA256: digest(r.options.Definition), Definition: string(r.options.Definition)}
	j, err := createJournal(r.options.Dir, h)
	if err != nil {
		return Outcome{}, err
	}
	return r.finish(ctx, j, &record{header: h}, r.machine)
}

// Resume goes on with an execution that was interrupted, on the definition with which it began. Steps whose
// success is in the journal are not run again. The outcome of an execution that has ended is given again.
func (r *Runner) Resume(ctx context.Context, id string) (Outcome, error) {
	j, rec, err := openJournal(r.options.Dir, id)
	if err != nil {
		return Outcome{}, err
	}
	if rec.outcome != nil {
		return *rec.outcome, j.close()
	}
	m, err := load(rec.header.File+" in the journal of "+id, []byte(rec.header.Definition), r.options.Steps)
	if err != nil {
		_ = j.close()
		return Outcome{}, err
	}
	return r.finish(ctx, j, rec, m)
}

func (r *Runner) finish(ctx context.Context, j *journal, rec *record, m *asl.Machine) (Outcome, error) {
	e := &execution{options: r.options, machine: m, journal: j, id: rec.header.ID, history: rec.events,
		exec: asl.Execution{ID: rec.header.ID, Name: rec.header.ID, StartTime: rec.header.Start, Input: rec.header.Input,
			MachineID: rec.header.SHA256, MachineName: rec.header.File},
		running: map[string]context.CancelFunc{}, results: make(chan taskResult), seen: map[traceKey]bool{}, answered: map[string]bool{}}
	for _, ev := range rec.events {
		e.answered[ev.Op] = true
	}
	out, err := e.run(ctx, len(rec.events) > 0)
	if closeErr := j.close(); err == nil && closeErr != nil {
		err = fault.New(fault.Unavailable, "close journal", e.id, "%w", closeErr)
	}
	return out, err
}
