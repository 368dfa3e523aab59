package starter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/host/starter"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// machine plays Step Functions: names are taken for good, the list lags behind, and the end of an execution is told a moment after it.
type machine struct {
	mu    sync.Mutex
	runs  []*run
	names map[string]bool
	takes time.Duration // an execution
	lag   time.Duration // of the list
	ended func()
	down  bool
}

type run struct {
	name       string
	began, end time.Time
	input      event.Trigger
}

func (m *machine) Newest(context.Context) (host.Execution, bool, error) {
	time.Sleep(50 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return host.Execution{}, false, errors.New("down")
	}
	then := time.Now().Add(-m.lag)
	for i := len(m.runs) - 1; i >= 0; i-- {
		if r := m.runs[i]; !r.began.After(then) {
			return host.Execution{ID: r.name, Started: r.began, Running: r.end.After(then)}, true, nil
		}
	}
	return host.Execution{}, false, nil
}

func (m *machine) Start(_ context.Context, name string, input []byte) (bool, error) {
	time.Sleep(50 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] {
		return false, nil
	}
	var in struct{ Trigger event.Trigger }
	if err := json.Unmarshal(input, &in); err != nil {
		return false, err
	}
	m.names[name] = true
	r := &run{name: name, began: time.Now(), end: time.Now().Add(m.takes), input: in.Trigger}
	m.runs = append(m.runs, r)
	if m.ended != nil {
		time.AfterFunc(m.takes+starter.Delay, m.ended)
	}
	return true, nil
}

// overlapping tells how many executions began while another one was on.
func (m *machine) overlapping() (n int) {
	runs := m.all()
	for i := 1; i < len(runs); i++ {
		if runs[i].began.Before(runs[i-1].end) {
			n++
		}
	}
	return n
}

// all gives the executions so far.
func (m *machine) all() []*run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.runs)
}

// world is a starter, its machine, and the notes in the lake.
type world struct {
	*machine
	*starter.Starter
	notes store.Store
	t     *testing.T
	wg    sync.WaitGroup
	ids   int
}

func newWorld(t *testing.T, takes, lag time.Duration) *world {
	w := &world{machine: &machine{names: map[string]bool{}, takes: takes, lag: lag}, notes: mem.New(), t: t}
	var mu sync.Mutex
	w.Starter = starter.New(starter.Options{Machine: w.machine, Notes: w.notes, Now: time.Now, NewID: func() string {
		mu.Lock()
		defer mu.Unlock()
		w.ids++
		return fmt.Sprint(w.ids)
	}})
	w.ended = func() { w.deliver() }
	return w
}

func (w *world) deliver(events ...event.Trigger) starter.Outcome {
	w.t.Helper()
	out, err := w.Handle(w.t.Context(), events)
	if err != nil {
		w.t.Error(err)
	}
	return out
}

func landed() event.Trigger {
	return event.Trigger{Kind: event.Object, Source: event.EventBridge, Bucket: "b", Key: "landing/k", Time: time.Now().Truncate(time.Second), ID: fmt.Sprint(rand.Int())}
}

func (w *world) left() (n int) {
	for _, err := range w.notes.List(w.t.Context(), "", "") {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// A storm of 10,000 objects within a minute, delivered in batches to several starters at once, some of them twice, makes a few runs, one at a time; the
// last one began after the last event, and no note is left.
func TestStorm(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			w := newWorld(t, time.Duration(20+rnd.IntN(100))*time.Second, time.Duration(rnd.IntN(9000))*time.Millisecond)
			var last time.Time
			for range 100 {
				time.Sleep(time.Duration(rnd.IntN(1200)) * time.Millisecond)
				var batch []event.Trigger
				for range 100 {
					batch = append(batch, landed())
				}
				last = time.Now()
				after, times := starter.Delay+time.Duration(rnd.IntN(9000))*time.Millisecond, 1+rnd.IntN(2)
				w.wg.Go(func() {
					for range times {
						time.Sleep(after)
						w.deliver(batch...)
						after *= 3
					}
				})
			}
			w.wg.Wait()
			time.Sleep(time.Hour)
			if n := len(w.all()); n < 2 || n > 10 {
				t.Errorf("seed %d: %d runs", seed, n)
			}
			if n := w.overlapping(); n > 0 {
				t.Errorf("seed %d: %d runs began while another one was on", seed, n)
			}
			if began := w.all()[len(w.all())-1].began; began.Before(last) {
				t.Errorf("seed %d: the last run began %v before the last event", seed, last.Sub(began))
			}
			if n := w.left(); n > 0 {
				t.Errorf("seed %d: %d notes are left", seed, n)
			}
		})
	}
}

func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Minute, 0)
		first := landed()
		time.Sleep(10 * time.Second)
		if out := w.deliver(first); out.Status != starter.Started || w.all()[0].input.ID != first.ID {
			t.Fatalf("%+v", out)
		}
		if out := w.deliver(first); out.Status != starter.Covered {
			t.Errorf("delivered again: %+v", out)
		}
		time.Sleep(10 * time.Second)
		during := landed()
		if out := w.deliver(during); out.Status != starter.Noted || w.left() != 1 {
			t.Errorf("during a run: %+v, %d notes", out, w.left())
		}
		time.Sleep(5 * time.Minute)
		if len(w.all()) != 2 || w.all()[1].input.ID != during.ID || w.left() != 0 {
			t.Errorf("%d runs, %d notes", len(w.all()), w.left())
		}
		for _, again := range []event.Trigger{first, during} {
			if out := w.deliver(again); out.Status != starter.Covered {
				t.Errorf("delivered again: %+v", out)
			}
		}
		if out := w.deliver(); out.Status != starter.Nothing {
			t.Errorf("no event: %+v", out)
		}
		if out := w.deliver(landed()); out.Status != starter.Started {
			t.Errorf("later: %+v", out)
		}
	})
}

// An event that came too late to be sure that the run saw it calls for another one.
func TestJustBeforeARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Minute, 0)
		first := landed()
		time.Sleep(10 * time.Second)
		other := landed()
		w.deliver(first)
		w.deliver(other)
		time.Sleep(5 * time.Minute)
		if len(w.all()) != 2 || w.left() != 0 {
			t.Errorf("%d runs, %d notes", len(w.all()), w.left())
		}
	})
}

// While the service is down events are not lost: the error sends them back to the queue.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Minute, 0)
		w.down = true
		if _, err := w.Handle(t.Context(), []event.Trigger{landed()}); err == nil {
			t.Error("no error")
		}
		w.down = false
		if out := w.deliver(event.Trigger{Kind: event.Manual, Source: event.CLI}); out.Status != starter.Started {
			t.Errorf("without a time: %+v", out)
		}
		if out := w.deliver(event.Trigger{Kind: event.Manual, Source: event.CLI}); out.Status != starter.Noted || w.left() != 1 {
			t.Errorf("without a time, during a run: %+v", out)
		}
		time.Sleep(5 * time.Minute)
		if len(w.all()) != 2 || w.left() != 0 {
			t.Errorf("%d runs, %d notes", len(w.all()), w.left())
		}
	})
}
