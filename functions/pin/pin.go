// Package pin is the step before the first one, where a run is started in the cloud: it reads the pipeline that came with the function, pins it in
// the lake, and names the run. On this machine the command line does that, and starts the state machine behind this step.
package pin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
)

// Input is what the state machine knows when it starts.
type Input struct {
	Execution string          `json:"execution"` // its name
	Started   time.Time       `json:"started"`
	Request   json.RawMessage `json:"request"` // the execution's input
}

// Request is what an execution may be started with, all of it optional: by the starter with the trigger, by a person with an operator's words.
// An event in any of the shapes that package event knows will do as well.
type Request struct {
	Trigger *event.Trigger `json:"trigger,omitempty"`
	Starter string         `json:"starter,omitempty"` // of which invocation the request is
	Comment string         `json:"Comment,omitempty"` // the console offers an input with one
	lake.Overrides
}

// Output is the state machine's input, as a host on this machine would give it.
type Output struct {
	Run     string        `json:"run"`
	Bundle  string        `json:"bundle"`
	Trigger event.Trigger `json:"trigger"`
}

// Options are what the step needs.
type Options struct {
	Lake   *lake.Lake
	Bundle func() (pipeline.Bundle, error) // reads the pipeline; nil where runs are started with it
}

// New makes the step.
func New(o Options) step.Step { return step.New("pin", o.run) }

func (o Options) run(ctx context.Context, in Input) (Output, error) {
	if o.Bundle == nil {
		return Output{}, fault.New(fault.InvalidInput, "start", "run", "the input lacks run and bundle, and this host has no pipeline of its own")
	}
	if in.Execution == "" || in.Started.IsZero() {
		return Output{}, fault.New(fault.InvalidInput, "start", "run", "the input lacks execution or started")
	}
	trigger, err := triggerOf(in.Request, in.Started)
	if err != nil {
		return Output{}, err
	}
	b, err := o.Bundle()
	if err != nil {
		return Output{}, err
	}
	if _, err := pipeline.Load(b); err != nil { // say it now, not in the middle
		return Output{}, err
	}
	digest, err := o.Lake.Pin(ctx, b)
	return Output{Run: nameOf(in), Bundle: digest, Trigger: trigger}, err
}

// nameOf names the run of an execution: sortable by time, and the same when the step is repeated.
func nameOf(in Input) string {
	sum := sha256.Sum256([]byte(in.Execution))
	at := in.Started.UTC()
	return fmt.Sprintf("%s-%03d-%x", at.Format("20060102-150405"), at.Nanosecond()/1e6, sum[:2])
}

// triggerOf finds what started the execution.
func triggerOf(raw json.RawMessage, started time.Time) (event.Trigger, error) {
	if triggers, err := event.Parse(raw); err == nil && len(triggers) > 0 {
		return triggers[0], nil // the others say the same: look
	}
	var r Request
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return event.Trigger{}, fault.New(fault.InvalidInput, "read", "input of the execution", "%w", err).
			WithHint(`start it with {}, with an event, or with an operator's words: {"waive": ["silver.x"], "reason": "..."}`)
	}
	if r.Trigger != nil {
		return *r.Trigger, nil
	}
	input, err := json.Marshal(r.Overrides)
	return event.Trigger{Kind: event.Manual, Source: event.CLI, Time: started.UTC(), Input: input}, err
}
