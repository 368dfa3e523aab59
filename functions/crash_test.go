package functions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store/inject"
)

// dying makes settings for a program that dies at an operation on its stores: from then on nothing it does counts, no result of a step
// reaches the journal.
func dying(in *inject.Injector, at int, die func()) settings {
	return settings{wrap: in.Wrap, handler: func(_ string, h step.Handler) step.Handler {
		return func(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
			out, err := h(ctx, raw)
			if len(in.Ops()) >= at {
				die()
				return nil, errKilled
			}
			return out, err
		}
	}}
}

// stage is a lake before a batch, and what it must be after it.
type stage struct {
	before *site
	after  state
	ops    []string // of an undisturbed run, in order: name and key
}

// stages gives the two batches. The second lands when the first stage is done with.
func stages(t *testing.T, l *lab, each func(*testing.T, stage)) {
	before := l.site(t)
	for batch := 1; batch <= 2; batch++ {
		l.land(batch)
		in := inject.New(inject.Plan{})
		undisturbed := before.copy(t)
		out, err := undisturbed.program(settings{wrap: in.Wrap}).start(t.Context(), "run")
		succeeded(t, out, err)
		after := undisturbed.state()
		undisturbed.balanced(after)
		st := stage{before, after, strings.Split(strings.TrimSpace(in.Log()), "\n")}
		t.Run(fmt.Sprint("batch ", batch), func(t *testing.T) { each(t, st) })
		before = undisturbed.copy(t)
		if err := os.RemoveAll(before.journals()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) journals() string { return filepath.Join(s.folder, "_lakestep", "journals") }

// journaled tells whether a run had begun.
func (s *site) journaled(run string) bool {
	_, err := os.Stat(filepath.Join(s.journals(), run+".jsonl"))
	return err == nil
}

// place is where and how to break a run: the number of the operation, and whether it takes effect before.
type place struct {
	at      int
	applied bool
}

// places gives every operation, without LAKESTEP_LONG a sample of those that write: to die in a read is to die before the next write.
func (st stage) places(sample int) (out []place) {
	var writes []int
	for i, op := range st.ops {
		if strings.HasPrefix(op, "put") || strings.HasPrefix(op, "delete") {
			writes = append(writes, i+1)
		} else if long() {
			out = append(out, place{i + 1, false})
		}
	}
	stride := 1
	if !long() {
		stride = max(1, len(writes)/sample)
	}
	for i := 0; i < len(writes); i += stride {
		out = append(out, place{writes[i], false}, place{writes[i], true})
	}
	return out
}

// crash lets a program die, and brings the run to its end by resuming it or by a new one.
func (st stage) crash(t *testing.T, p place, resume bool) *site {
	plan := inject.Plan{How: inject.Crash, At: p.at}
	if p.applied {
		plan.How = inject.CrashApplied
	}
	in := inject.New(plan)
	s := st.before.copy(t)
	ctx, die := context.WithCancel(t.Context())
	defer die()
	out, err := s.program(dying(in, p.at, die)).start(ctx, "run")
	if err == nil {
		t.Fatalf("the dead run ended as %+v", out)
	}
	after := s.program(settings{})
	if resume && s.journaled("run") {
		out, err = after.runner.Resume(t.Context(), "run")
	} else {
		out, err = after.start(t.Context(), "again")
	}
	succeeded(t, out, err)
	return s
}

// A run that is killed at any operation, and then resumed or followed by another, leaves what an undisturbed one leaves: the same rows in
// as many versions, so that nothing was published twice.
func TestCrashAtEveryOperation(t *testing.T) {
	l := newLab(t)
	stages(t, l, func(t *testing.T, st stage) {
		t.Logf("%d operations", len(st.ops))
		for _, p := range st.places(10) {
			for _, resume := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d %s/applied=%v/resume=%v", p.at, st.ops[p.at-1], p.applied, resume), func(t *testing.T) {
					t.Parallel()
					s := st.crash(t, p, resume)
					s.equal(st.after)
					s.nothingNew()
				})
			}
		}
	})
}

// delta-rs reads what crashed runs left, too.
func TestCrashedLakesByDeltaRS(t *testing.T) {
	l := newLab(t)
	last := l.site(t)
	stages(t, l, func(_ *testing.T, st stage) {
		writes := st.places(4)
		last = st.crash(t, writes[len(writes)-1], true)
	})
	last.otherReader()
}

// An operation that fails, or succeeds without saying so, is no reason for a run to fail: the step is repeated.
func TestTroubleAtEveryOperation(t *testing.T) {
	l := newLab(t)
	stages(t, l, func(t *testing.T, st stage) {
		for _, p := range st.places(4) {
			t.Run(fmt.Sprintf("%d %s/applied=%v", p.at, st.ops[p.at-1], p.applied), func(t *testing.T) {
				t.Parallel()
				plan := inject.Plan{How: inject.Fail, At: p.at}
				if p.applied {
					plan.How = inject.TimeOut
				}
				s := st.before.copy(t)
				program := s.program(settings{wrap: inject.New(plan).Wrap})
				out, err := program.start(t.Context(), "run")
				if err != nil && !s.journaled("run") { // it could not begin
					out, err = program.start(t.Context(), "run")
				}
				succeeded(t, out, err)
				s.equal(st.after)
				s.nothingNew()
			})
		}
	})
}

// An operation that fails for good fails the run, and says so; when the cause is mended, the next run makes it good.
func TestFailureAtEveryOperation(t *testing.T) {
	l := newLab(t)
	stages(t, l, func(t *testing.T, st stage) {
		for _, p := range st.places(4) {
			if p.applied {
				continue
			}
			t.Run(fmt.Sprintf("%d %s", p.at, st.ops[p.at-1]), func(t *testing.T) {
				t.Parallel()
				s := st.before.copy(t)
				in := inject.New(inject.Plan{How: inject.Fail, At: p.at, Err: errBroken})
				out, err := s.program(settings{wrap: in.Wrap}).start(t.Context(), "run")
				if err == nil && out.Status == asl.Failed && !strings.Contains(out.Cause, errBroken.Error()) {
					t.Errorf("the run failed of something else: %s %s", out.Error, out.Cause)
				}
				s.mustRun("again")
				s.equal(st.after)
				s.nothingNew()
			})
		}
	})
}

var errBroken = errors.New("the disk is broken")
