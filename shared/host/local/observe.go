package local

import (
	"encoding/json"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	StateEntered EventKind = "StateEntered" // Value is its input
	StateExited  EventKind = "StateExited"  // Value is its output
	TaskStarted  EventKind = "TaskStarted"  // Step, Attempt, Raw (the input)
	TaskFinished EventKind = "TaskFinished" // Step, Attempt, Raw (the output) or Err; Stack after a panic
	RetryPlanned EventKind = "RetryPlanned" // Attempt is the one to come, At when it starts
	RunEnded     EventKind = "RunEnded"     // Outcome
)

// Event is a live notice for a progress display. Only the fields that its kind names are set beside Time, Op,
// State and Path.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Op       string // asl.Command.Op or asl.Trace.Op
	State    string
	Path     []asl.Frame // Map items and branches around the state, outermost first
	Value    any         // decoded JSON; not to be changed
	Step     string
	Attempt  int // 0 is the first
	Raw      json.RawMessage
	Err      error
	Stack    []byte
	At       time.Time
	Outcome  *Outcome
	Replayed bool // it happened before the run was resumed
}

// traceKey identifies one entry of a Decision's trace.
type traceKey struct {
	op     string
	exited bool
}

// observeTrace reports the states entered and exited since the last decision.
func (e *execution) observeTrace(trace []asl.Trace, replayed bool) {
	for _, t := range trace {
		key := traceKey{t.Op, t.Exited}
		if e.seen[key] {
			continue
		}
		e.seen[key] = true
		kind := StateEntered
		if t.Exited {
			kind = StateExited
		}
		e.options.Observe(Event{Kind: kind, Time: t.Time, Op: t.Op, State: t.State, Path: t.Path, Value: t.Value, Replayed: replayed})
	}
}
