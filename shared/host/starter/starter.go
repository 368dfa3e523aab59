// Package starter turns events into runs: one at a time of each pipeline, and one more when events come in meanwhile.
//
// Events are hints, and a run lists by itself what has landed. So an event calls for a run that begins after it; any such run will do. An event
// that came before the newest run began is covered: a storm of events makes a few runs, and one that is delivered again makes none. An event that
// comes while a run is on is noted in the lake, and when the run's end is told, looked at again.
//
// Events, and the word that a run has ended, are to come with a delay (Delay): the list of runs lags behind, and a note that was made because a run
// seemed to be on must be there before the word of its end is looked at.
package starter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/store"
)

// Machine starts the state machine's executions.
type Machine interface {
	// Newest is the execution that began last; false where there is none yet. It may lag behind by some seconds.
	Newest(ctx context.Context) (host.Execution, bool, error)
	// Start begins an execution. False says that there is one of this name already.
	Start(ctx context.Context, name string, input []byte) (bool, error)
}

// Delay is how late events are to be handed over: more than the list of runs lags behind. The queue has it as its delivery delay.
const Delay = 10 * time.Second

// margin is how much later than an event a run must have begun to have seen what it tells of: EventBridge gives times in whole seconds, and clocks differ.
const margin = 2 * time.Second

// Options are what a Starter needs.
type Options struct {
	Machine Machine
	Notes   store.Store // for events that came during a run: a folder of the lake that is this state machine's own
	Now     func() time.Time
	NewID   func() string
}

// Starter decides whether events start a run.
type Starter struct{ o Options }

// New makes a Starter.
func New(o Options) *Starter { return &Starter{o} }

// Outcome says what became of events.
type Outcome struct {
	Status string `json:"status"` // Started, Noted, Covered or Nothing
	Run    string `json:"run,omitempty"`
	Events int    `json:"events"` // that called for a run
}

// The statuses of an Outcome.
const (
	Started = "started" // a run was
	Noted   = "noted"   // a run is on: there will be one more
	Covered = "covered" // a run began after all of them
	Nothing = "nothing" // none calls for a run
)

// Handle looks at events that came together. Without any it looks at those that were noted: so it is called when a run has ended.
func (s *Starter) Handle(ctx context.Context, triggers []event.Trigger) (Outcome, error) {
	out := Outcome{Status: Nothing, Events: len(triggers)}
	notes, err := s.notes(ctx)
	if err != nil {
		return out, err
	}
	if len(triggers) == 0 && len(notes) == 0 {
		return out, nil
	}
	newest, any, err := s.o.Machine.Newest(ctx)
	if err != nil {
		return out, err
	}
	calling := open(triggers, newest, any)
	noted, seen := notes.split(newest, any)
	if len(calling) == 0 && len(noted) == 0 {
		out.Status = Covered
		return out, s.forget(ctx, seen)
	}
	if !any || !newest.Running {
		run := nameAfter(newest)
		began, err := s.start(ctx, run, calling, noted)
		if err != nil {
			return out, err
		}
		if began {
			out.Status, out.Run = Started, run
			return out, s.forget(ctx, seen)
		}
		// Another one has just started it, and the list does not show it yet.
	}
	out.Status = Noted
	if len(calling) > 0 {
		if err := s.note(ctx, latest(calling)); err != nil {
			return out, err
		}
	}
	return out, s.forget(ctx, seen)
}

// start begins an execution with the first event that calls for it.
func (s *Starter) start(ctx context.Context, run string, calling []event.Trigger, noted notes) (bool, error) {
	var first event.Trigger
	if len(calling) > 0 {
		first = calling[0]
	} else {
		first = noted[0].trigger
	}
	// Two starters never give the same input: Step Functions would call both of them the one that began the run, and one may have later events.
	input, err := json.Marshal(map[string]any{"trigger": first, "starter": s.o.NewID()})
	if err != nil {
		return false, fault.New(fault.Internal, "start", run, "%w", err)
	}
	return s.o.Machine.Start(ctx, run, input)
}

// nameAfter names the execution that comes after another one. Two starters that look at the same time give it the same name, and one of them starts it.
func nameAfter(e host.Execution) string {
	sum := sha256.Sum256([]byte(e.ID))
	return "after-" + hex.EncodeToString(sum[:8])
}

// covers tells whether a run began so late that it sees what an event tells of. One without a time could be of any.
func covers(e host.Execution, at time.Time) bool {
	return !at.IsZero() && e.Started.After(at.Add(margin))
}

// open are the events that no run covers.
func open(triggers []event.Trigger, newest host.Execution, any bool) (out []event.Trigger) {
	for _, t := range triggers {
		if !any || !covers(newest, t.Time) {
			out = append(out, t)
		}
	}
	return out
}

func latest(triggers []event.Trigger) event.Trigger {
	last := triggers[0]
	for _, t := range triggers[1:] {
		if t.Time.After(last.Time) {
			last = t
		}
	}
	return last
}
