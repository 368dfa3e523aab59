package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/step"
)

// jumpClock is a clock on which waiting takes no time: it jumps.
type jumpClock struct {
	mu     sync.Mutex
	now    time.Time
	delays []time.Duration
}

func newClock() *jumpClock {
	return &jumpClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (c *jumpClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *jumpClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	c.delays = append(c.delays, d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// events collects what a run tells.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) of(kind EventKind) []Event {
	var out []Event
	for _, ev := range e.list {
		if ev.Kind == kind {
			out = append(out, ev)
		}
	}
	return out
}

func newRunner(t *testing.T, dir, definition string, steps step.Set, parallel int) (*Runner, *events, *jumpClock) {
	t.Helper()
	seen, clock := &events{}, newClock()
	r, err := New(Options{Definition: []byte(definition), File: "test.asl.json", Steps: steps, Dir: dir,
		MaxParallel: parallel, Clock: clock, Observe: seen.add})
	if err != nil {
		t.Fatal(err)
	}
	return r, seen, clock
}

func handlerSet(m map[string]func(ctx context.Context, in string) (string, error)) step.Set {
	set := step.Set{}
	for name, f := range m {
		set[name] = func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
			out, err := f(ctx, string(in))
			return json.RawMessage(out), err
		}
	}
	return set
}

const oneTask = `{"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "${Work}", "TimeoutSeconds": 1,
 "Retry": [{"ErrorEquals": ["Throttled"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 2}], "End": true}}}`

const fanOut = `{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.items",
 "ItemProcessor": {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "${Work}", "End": true}}}, "End": true}}}`

func TestRetriesWaitOnTheClock(t *testing.T) {
	calls := 0
	r, seen, clock := newRunner(t, t.TempDir(), oneTask, handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(context.Context, string) (string, error) {
			if calls++; calls < 3 {
				return "", fmt.Errorf("wrapped: %w", fault.New(fault.Throttled, "read", "source", "slow down"))
			}
			return `{"ok":true}`, nil
		}}), 1)
	out, err := r.Start(context.Background(), "run-1", nil)
	if err != nil || out.Status != asl.Succeeded || string(out.Output) != `{"ok":true}` {
		t.Fatalf("%+v, %v", out, err)
	}
	if len(clock.delays) != 2 || clock.delays[0].Round(time.Second) != 2*time.Second || clock.delays[1].Round(time.Second) != 6*time.Second {
		t.Errorf("waited %v, want about 2s and 6s", clock.delays)
	}
	if n := len(seen.of(RetryPlanned)); n != 2 {
		t.Errorf("%d retries told, want 2", n)
	}
}

func TestErrorsReachTheMachineByKind(t *testing.T) {
	for name, test := range map[string]struct {
		err        error
		kind, says string
	}{
		"fault":       {fault.New(fault.QualityFailed, "audit", "silver.orders", "3 rows").WithHint("look"), "QualityFailed", `{"op":"audit","object":"silver.orders","message":"audit silver.orders: 3 rows","hint":"look"}`},
		"other error": {errors.New("plain"), "Internal", `{"op":"","object":"","message":"plain"}`},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, _ := newRunner(t, t.TempDir(), oneTask, handlerSet(map[string]func(context.Context, string) (string, error){
				"work": func(context.Context, string) (string, error) { return "", test.err }}), 1)
			out, err := r.Start(context.Background(), "run-1", nil)
			if err != nil || out.Status != asl.Failed || out.Error != test.kind || out.Cause != test.says {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

func TestPanicIsInternalAndItsStackIsTold(t *testing.T) {
	r, seen, _ := newRunner(t, t.TempDir(), oneTask, handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(context.Context, string) (string, error) { panic("boom") }}), 1)
	out, err := r.Start(context.Background(), "run-1", nil)
	if err != nil || out.Error != "Internal" || strings.Contains(out.Cause, "runner_test.go") {
		t.Errorf("%+v, %v", out, err)
	}
	if f := seen.of(TaskFinished); len(f) != 1 || !strings.Contains(string(f[0].Stack), "runner_test.go") {
		t.Errorf("the stack is not told: %+v", f)
	}
}

func TestTimeLimit(t *testing.T) {
	r, _, _ := newRunner(t, t.TempDir(), oneTask, handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() }}), 1)
	out, err := r.Start(context.Background(), "run-1", nil)
	if err != nil || out.Error != "States.Timeout" || !strings.Contains(out.Cause, "no answer within 1s") {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestAtMostMaxParallelSteps(t *testing.T) {
	var now, most atomic.Int64
	gate := make(chan struct{})
	var once sync.Once
	r, _, _ := newRunner(t, t.TempDir(), fanOut, handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(_ context.Context, in string) (string, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			if now.Load() == 3 {
				once.Do(func() { close(gate) })
			}
			<-gate // opens only when three run at once
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return in, nil
		}}), 3)
	out, err := r.Start(context.Background(), "run-1", json.RawMessage(`{"items":[0,1,2,3,4,5,6,7]}`))
	if err != nil || string(out.Output) != "[0,1,2,3,4,5,6,7]" {
		t.Errorf("%+v, %v", out, err)
	}
	if most.Load() != 3 {
		t.Errorf("%d steps at once, want 3", most.Load())
	}
}

func TestInterruptedRunIsResumed(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.Map
	work := func(ctx context.Context, in string) (string, error) {
		n, _ := calls.LoadOrStore(in, new(atomic.Int64))
		first := n.(*atomic.Int64).Add(1) == 1
		switch {
		case in == "1" && first: // finishes in spite of the interruption
			cancel()
			return in, nil
		case in == "2" && first: // is broken off by it
			<-ctx.Done()
			return "", ctx.Err()
		}
		return in, nil
	}
	set := handlerSet(map[string]func(context.Context, string) (string, error){"work": work})
	r, _, _ := newRunner(t, dir, fanOut, set, 2)
	_, err := r.Start(ctx, "run-1", json.RawMessage(`{"items":[1,2,3,4]}`))
	if !errors.Is(err, context.Canceled) || !strings.Contains(fault.HintOf(err), "resume the run run-1") {
		t.Fatalf("err %v, hint %q", err, fault.HintOf(err))
	}
	// Another definition by now: the run ends on the one that it began with.
	r, seen, _ := newRunner(t, dir, oneTask, set, 2)
	out, err := r.Resume(context.Background(), "run-1")
	if err != nil || string(out.Output) != "[1,2,3,4]" {
		t.Fatalf("%+v, %v", out, err)
	}
	for in, want := range map[string]int64{"1": 1, "2": 2, "3": 1, "4": 1} {
		if n, ok := calls.Load(in); !ok || n.(*atomic.Int64).Load() != want {
			t.Errorf("item %s was run %v times, want %d", in, n, want)
		}
	}
	if len(seen.of(RunEnded)) != 1 {
		t.Error("the end is not told")
	}
}

func TestAFailedBranchEndsTheOthers(t *testing.T) {
	stopped := make(chan struct{})
	r, _, _ := newRunner(t, t.TempDir(), fanOut, handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(ctx context.Context, in string) (string, error) {
			if in == "1" {
				return "", fault.New(fault.SchemaBroken, "read", "a", "b")
			}
			<-ctx.Done()
			close(stopped)
			return "", ctx.Err()
		}}), 2)
	out, err := r.Start(context.Background(), "run-1", json.RawMessage(`{"items":[0,1]}`))
	if err != nil || out.Error != "SchemaBroken" {
		t.Errorf("%+v, %v", out, err)
	}
	<-stopped
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	set := handlerSet(map[string]func(context.Context, string) (string, error){
		"work": func(context.Context, string) (string, error) { return "1", nil }})
	r, _, _ := newRunner(t, dir, oneTask, set, 1)
	if _, err := r.Start(context.Background(), "run-1", nil); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func() error{
		"an id that is taken":    func() error { _, err := r.Start(context.Background(), "run-1", nil); return err },
		"an id that is no name":  func() error { _, err := r.Start(context.Background(), "../x", nil); return err },
		"an unknown run":         func() error { _, err := r.Resume(context.Background(), "run-2"); return err },
		"input that is not JSON": func() error { _, err := r.Start(context.Background(), "run-3", json.RawMessage("{")); return err },
		"a definition with errors": func() error {
			_, err := New(Options{Definition: []byte("{}"), Dir: dir, MaxParallel: 1, Clock: WallClock{}})
			return err
		},
		"a task without a step": func() error {
			_, err := New(Options{Definition: []byte(oneTask), Dir: dir, MaxParallel: 1, Clock: WallClock{}, Steps: step.Set{}})
			return err
		},
		"a run that another process holds": func() error {
			lock, err := lockJournal(dir, "run-1")
			if err != nil {
				return err
			}
			defer func() { _ = lock.Unlock() }()
			_, err = r.Resume(context.Background(), "run-1")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var f *fault.Fault
			if err := test(); !errors.As(err, &f) || f.Kind != fault.InvalidInput {
				t.Errorf("err %v, want an InvalidInput fault", err)
			}
		})
	}
}
