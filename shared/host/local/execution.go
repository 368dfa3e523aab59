package local

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"sort"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/step"
)

// execution is one run: a loop that decides, starts what was decided, waits for the next answer, journals it
// and decides again. Only the steps themselves run beside it.
type execution struct {
	options Options
	machine *asl.Machine
	journal *journal
	id      string
	exec    asl.Execution
	history []asl.Event

	answered map[string]bool // Ops in the history
	running  map[string]context.CancelFunc
	results  chan taskResult
	timers   []asl.Command // waiting
	seen     map[traceKey]bool
}

// taskResult is what a step's goroutine hands back.
type taskResult struct {
	cmd      asl.Command
	output   json.RawMessage
	err      error
	timedOut bool
	stack    []byte
}

func (e *execution) run(ctx context.Context, resumed bool) (Outcome, error) {
	defer e.drain()
	for first := true; ; first = false {
		d := e.machine.Decide(e.exec, e.history)
		e.observeTrace(d.Trace, first && resumed)
		if d.Done {
			return e.end(d)
		}
		if ctx.Err() != nil {
			return Outcome{}, e.interrupted(ctx)
		}
		e.schedule(ctx, d.Commands)
		events, err := e.wait(ctx)
		if err != nil {
			return Outcome{}, err
		}
		if err := e.record(events); err != nil {
			return Outcome{}, err
		}
	}
}

func (e *execution) end(d asl.Decision) (Outcome, error) {
	out := Outcome{ID: e.id, Status: d.Status, Output: d.Output, Error: d.Error, Cause: d.Cause}
	if err := e.journal.append(line{Outcome: &out}); err != nil {
		return Outcome{}, err
	}
	e.options.Observe(Event{Kind: RunEnded, Time: e.options.Clock.Now(), Outcome: &out})
	return out, nil
}

// schedule starts what is new among the commands, as far as there is room, and gives up what is no longer
// asked for.
func (e *execution) schedule(ctx context.Context, commands []asl.Command) {
	wanted := map[string]bool{}
	waiting := map[string]bool{}
	for _, t := range e.timers {
		waiting[t.Op] = true
	}
	e.timers = e.timers[:0]
	for _, cmd := range commands {
		wanted[cmd.Op] = true
		if cmd.Kind == asl.Timer {
			if !waiting[cmd.Op] && cmd.Attempt > 0 {
				e.options.Observe(Event{Kind: RetryPlanned, Time: e.options.Clock.Now(), Op: cmd.Op, State: cmd.State,
					Path: cmd.Path, Attempt: cmd.Attempt, At: cmd.FireAt})
			}
			e.timers = append(e.timers, cmd)
			continue
		}
		if _, started := e.running[cmd.Op]; started || len(e.running) >= e.options.MaxParallel {
			continue
		}
		e.start(ctx, cmd)
	}
	for op, cancel := range e.running {
		if !wanted[op] {
			cancel()
		}
	}
}

func (e *execution) start(ctx context.Context, cmd asl.Command) {
	name := stepName(cmd.Resource)
	var cancel context.CancelFunc
	if cmd.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, cmd.Timeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	e.running[cmd.Op] = cancel
	e.options.Observe(Event{Kind: TaskStarted, Time: e.options.Clock.Now(), Op: cmd.Op, State: cmd.State, Path: cmd.Path,
		Step: name, Attempt: cmd.Attempt, Raw: cmd.Input})
	go func() { e.results <- invoke(ctx, e.options.Steps[name], cmd) }()
}

// grace is how long a step may take to return after its time limit. A step that ignores its context is then left
// behind; what it still does is harmless, as each attempt writes under an id of its own.
const grace = 10 * time.Second

// invoke runs a step in its time limit.
func invoke(ctx context.Context, handle step.Handler, cmd asl.Command) taskResult {
	done := make(chan taskResult, 1)
	go func() { done <- call(ctx, handle, cmd) }()
	var r taskResult
	select {
	case r = <-done:
	case <-deadline(ctx):
		select {
		case r = <-done:
		case <-time.After(grace):
			r = taskResult{cmd: cmd, err: context.DeadlineExceeded}
		}
	}
	if r.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.timedOut = true
		r.err = fault.New(fault.Unavailable, "run step", stepName(cmd.Resource), "no answer within %v", cmd.Timeout).
			WithHint("look for what the step waits on, or raise TimeoutSeconds of the state %q", cmd.State)
	}
	return r
}

// deadline is ctx.Done when the context has a time limit; a step without one is waited for, however long.
func deadline(ctx context.Context) <-chan struct{} {
	if _, ok := ctx.Deadline(); ok {
		return ctx.Done()
	}
	return nil
}

// call runs a step and turns a panic into an Internal fault.
func call(ctx context.Context, handle step.Handler, cmd asl.Command) (r taskResult) {
	r.cmd = cmd
	defer func() {
		if p := recover(); p != nil {
			r.output, r.stack = nil, debug.Stack()
			r.err = fault.New(fault.Internal, "run step", stepName(cmd.Resource), "panic: %v", p).
				WithHint("this is a bug in the step; report it with the stack that the run shows")
		}
	}()
	r.output, r.err = handle(ctx, cmd.Input)
	return r
}

// wait blocks until something is known: results of steps, timers that are due, or an interruption.
func (e *execution) wait(ctx context.Context) ([]asl.Event, error) {
	var due <-chan time.Time
	if len(e.timers) > 0 {
		sort.SliceStable(e.timers, func(i, j int) bool { return e.timers[i].FireAt.Before(e.timers[j].FireAt) })
		due = e.options.Clock.After(e.timers[0].FireAt.Sub(e.options.Clock.Now()))
	} else if len(e.running) == 0 {
		return nil, fault.New(fault.Internal, "run", e.id, "the state machine neither goes on nor ends")
	}
	var events []asl.Event
	select {
	case r := <-e.results:
		events = e.finished(ctx, events, r)
	case <-due:
		events = e.fired(events)
	case <-ctx.Done():
		return e.windDown(ctx), nil
	}
	for { // whatever else is there already shares the sync and the decision
		select {
		case r := <-e.results:
			events = e.finished(ctx, events, r)
		default:
			return events, nil
		}
	}
}

func (e *execution) fired(events []asl.Event) []asl.Event {
	now := e.options.Clock.Now()
	for _, t := range e.timers {
		if !t.FireAt.After(now) {
			events = append(events, asl.Event{Op: t.Op, Type: asl.TimerFired, Time: now})
		}
	}
	return events
}

// finished takes a step's result into events. An error of a step that was itself interrupted says nothing about
// the step, so it is left out: the step runs again when the run is resumed.
func (e *execution) finished(ctx context.Context, events []asl.Event, r taskResult) []asl.Event {
	e.running[r.cmd.Op]()
	delete(e.running, r.cmd.Op)
	now := e.options.Clock.Now()
	e.options.Observe(Event{Kind: TaskFinished, Time: now, Op: r.cmd.Op, State: r.cmd.State, Path: r.cmd.Path,
		Step: stepName(r.cmd.Resource), Attempt: r.cmd.Attempt, Raw: r.output, Err: r.err, Stack: r.stack})
	ev := asl.Event{Op: r.cmd.Op, Type: asl.TaskSucceeded, Time: now, Output: r.output}
	if r.err != nil {
		if ctx.Err() != nil {
			return events
		}
		ev.Type, ev.Output = asl.TaskFailed, nil
		ev.Error, ev.Cause = host.Failure(r.err)
		if r.timedOut {
			ev.Error = "States.Timeout"
		}
	} else if !json.Valid(ev.Output) {
		ev.Type, ev.Output = asl.TaskFailed, nil
		ev.Error, ev.Cause = host.Failure(fault.New(fault.Internal, "run step", stepName(r.cmd.Resource), "the result is not JSON"))
	}
	return append(events, ev)
}

// windDown waits for the steps that run; their contexts are cancelled.
func (e *execution) windDown(ctx context.Context) []asl.Event {
	var events []asl.Event
	for len(e.running) > 0 {
		events = e.finished(ctx, events, <-e.results)
	}
	return events
}

// drain ends what still runs when the run is over, so that no step outlives it.
func (e *execution) drain() {
	for _, cancel := range e.running {
		cancel()
	}
	for len(e.running) > 0 {
		r := <-e.results
		e.running[r.cmd.Op]()
		delete(e.running, r.cmd.Op)
	}
}

// record journals events and then adds them to the history.
func (e *execution) record(events []asl.Event) error {
	var lines []any
	var fresh []asl.Event
	for _, ev := range events {
		if e.answered[ev.Op] {
			continue
		}
		e.answered[ev.Op] = true
		fresh = append(fresh, ev)
		lines = append(lines, line{Event: &ev})
	}
	if len(lines) == 0 {
		return nil
	}
	if err := e.journal.append(lines...); err != nil {
		return err
	}
	e.history = append(e.history, fresh...)
	return nil
}

func (e *execution) interrupted(ctx context.Context) error {
	return fault.New(fault.Unavailable, "run", e.id, "interrupted: %w", context.Cause(ctx)).
		WithHint("resume the run %s: it goes on where it stopped", e.id)
}
