// Package shell runs a state machine on this machine in memory, each of its tasks a shell command: to try a definition
// out, and for scripts that want to know what one does. Nothing is kept; a run that is stopped is over.
package shell

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
)

// regionAndAccount is where ARNs made here say that they are; there is no such account.
const (
	account          = "111111111111"
	regionAndAccount = "us-east-1:" + account
)

// Options are what a run works with. Machine, Tasks, Name, Parallel, Now and Stderr are needed.
type Options struct {
	Machine     *asl.Machine
	MachineName string
	Tasks       *Tasks
	Name        string          // of the execution; random functions give the same again in one of the same name
	Input       json.RawMessage // nothing counts as {}
	Express     bool
	Fast        bool // time that is only waited for passes at once
	Parallel    int  // commands at once, at least 1
	Now         func() time.Time
	Stderr      io.Writer // of the commands
}

// Result is what a run comes to, in the form in which scripts get it: all fields are always there.
type Result struct {
	Status     asl.Status      `json:"status"`
	Output     json.RawMessage `json:"output"` // null unless it succeeded
	Error      *string         `json:"error"`
	Cause      *string         `json:"cause"`
	Entered    []string        `json:"states_entered"`
	EventTypes []string        `json:"event_types"`
}

// Run runs a machine to its end. When ctx ends, the execution is aborted.
func Run(ctx context.Context, o Options) (Result, error) {
	prefix := "arn:aws:states:" + regionAndAccount
	o.Stderr = &locked{w: o.Stderr}
	r := &run{o: o, running: map[string]context.CancelFunc{}, results: make(chan asl.Event), answered: map[string]bool{}}
	r.exec = asl.Execution{
		ID: executionID(prefix, o), Name: o.Name, StartTime: o.Now(), Input: o.Input, Express: o.Express,
		Role: "arn:aws:iam::" + account + ":role/lakestep", MachineID: prefix + ":stateMachine:" + o.MachineName, MachineName: o.MachineName,
	}
	defer r.drain()
	for {
		d := o.Machine.Decide(r.exec, r.history)
		if d.Done {
			return resultOf(d), nil
		}
		if r.schedule(ctx, d.Commands) { // some are done already
			continue
		}
		if err := r.wait(ctx); err != nil {
			return Result{}, err
		}
	}
}

func executionID(prefix string, o Options) string {
	if o.Express {
		return prefix + ":express:" + o.MachineName + ":" + o.Name + ":0"
	}
	return prefix + ":execution:" + o.MachineName + ":" + o.Name
}

func resultOf(d asl.Decision) Result {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	r := Result{Status: d.Status, Output: d.Output, Error: optional(d.Error), Cause: optional(d.Cause), Entered: []string{}, EventTypes: []string{}}
	for _, e := range d.History {
		r.EventTypes = append(r.EventTypes, e.Type)
		if strings.HasSuffix(e.Type, "StateEntered") {
			r.Entered = append(r.Entered, e.State)
		}
	}
	return r
}

// run is a loop that decides, starts what was decided, waits for the next answer and decides again.
type run struct {
	o        Options
	exec     asl.Execution
	history  []asl.Event
	answered map[string]bool
	running  map[string]context.CancelFunc
	results  chan asl.Event
	timers   []asl.Command
	skipped  time.Duration // time that nobody waited for
}

func (r *run) now() time.Time { return r.o.Now().Add(r.skipped) }

// answer adds an event to the history.
func (r *run) answer(e asl.Event) {
	if r.answered[e.Op] {
		return
	}
	r.answered[e.Op] = true
	e.Time = r.now()
	r.history = append(r.history, e)
}

// schedule starts what is new among the commands, as far as there is room, and stops what is no longer asked for. It
// tells whether some were answered on the spot.
func (r *run) schedule(ctx context.Context, commands []asl.Command) (answered bool) {
	wanted := map[string]bool{}
	r.timers = r.timers[:0]
	for _, cmd := range commands {
		wanted[cmd.Op] = true
		if cmd.Kind == asl.Timer {
			r.timers = append(r.timers, cmd)
			continue
		}
		if _, started := r.running[cmd.Op]; started || ctx.Err() != nil {
			continue
		}
		c, e := r.o.Tasks.prepare(cmd)
		if e == nil && c.command == Identity {
			done := c.succeeded(c.input)
			e = &done
		}
		switch {
		case e != nil:
			e.Op = cmd.Op
			r.answer(*e)
			answered = true
		case len(r.running) < r.o.Parallel:
			r.start(ctx, cmd, c)
		}
	}
	for op, cancel := range r.running {
		if !wanted[op] {
			cancel()
		}
	}
	return answered
}

func (r *run) start(ctx context.Context, cmd asl.Command, c call) {
	var cancel context.CancelFunc
	if cmd.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, cmd.Timeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	r.running[cmd.Op] = cancel
	go func() {
		e := c.run(ctx, r.o.Stderr)
		e.Op = cmd.Op
		r.results <- e
	}()
}

// wait blocks until something is known: a command's end, a time that has come, or that the run is to stop. A fast run
// goes straight to the next time when nothing else can happen before.
func (r *run) wait(ctx context.Context) error {
	if len(r.timers) == 0 && len(r.running) == 0 && ctx.Err() == nil {
		return fault.New(fault.Internal, "run", r.exec.Name, "the state machine neither goes on nor ends")
	}
	var due <-chan time.Time
	if len(r.timers) > 0 {
		slices.SortStableFunc(r.timers, func(a, b asl.Command) int { return a.FireAt.Compare(b.FireAt) })
		left := r.timers[0].FireAt.Sub(r.now())
		if r.o.Fast && len(r.running) == 0 {
			r.skipped += max(left, 0)
			left = 0
		}
		t := time.NewTimer(left)
		defer t.Stop()
		due = t.C
	}
	select {
	case e := <-r.results:
		r.finished(ctx, e)
	case <-due:
		for now, i := r.now(), 0; i < len(r.timers) && !r.timers[i].FireAt.After(now); i++ {
			r.answer(asl.Event{Op: r.timers[i].Op, Type: asl.TimerFired})
		}
	case <-ctx.Done():
		cause := "the run was stopped"
		if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
			cause += ": " + err.Error()
		}
		r.history = append(r.history, asl.Event{Type: asl.ExecutionAborted, Time: r.now(), Cause: cause})
	}
	return nil
}

// finished takes a command's end. What the end of the whole run has done to it says nothing.
func (r *run) finished(ctx context.Context, e asl.Event) {
	r.running[e.Op]()
	delete(r.running, e.Op)
	if ctx.Err() == nil {
		r.answer(e)
	}
}

// drain stops what still runs when the run is over, so that no command outlives it.
func (r *run) drain() {
	for _, cancel := range r.running {
		cancel()
	}
	for len(r.running) > 0 {
		e := <-r.results
		r.running[e.Op]()
		delete(r.running, e.Op)
	}
}

// locked lets several commands write to one stream.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
