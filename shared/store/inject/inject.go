// Package inject breaks a store on purpose, for tests: it fails, "crashes" or times out at the n-th operation,
// and logs all operations, so that the I/O of a step can be reviewed in a golden file.
//
// The usual crash test runs the work once without a plan, takes Ops() as the number of places to break at, and
// then runs it once for each place and each way to break.
package inject

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// ErrCrashed is the error (wrapped) of every operation at and after the crash.
var ErrCrashed = errors.New("injected crash")

// ErrTimeout is the error (wrapped, in a fault of kind Unavailable) of an operation that was applied but does
// not say so.
var ErrTimeout = errors.New("injected time-out, perhaps applied")

// Operation names; a put-if-absent is told from an overwrite.
const (
	Open        = "open"
	Stat        = "stat"
	Put         = "put"
	PutIfAbsent = "put-if-absent"
	List        = "list"
	Delete      = "delete"
)

// Op is one operation on a store: its name, and its key (for List the prefix).
type Op struct{ Name, Key string }

// Writes tells whether the operation changes the store.
func (o Op) Writes() bool { return o.Name == Put || o.Name == PutIfAbsent || o.Name == Delete }

// Plan says what breaks and when. Operations count from 1; 0 never happens. The zero Plan breaks nothing.
type Plan struct {
	// FailAt is the operation that fails with Err (nil: a fault of kind Unavailable) without being applied.
	FailAt int
	Err    error
	// CrashAt is the first of the operations that all fail, as after the death of the process. When Applied
	// is set and it is a write, it is applied, whole, before the crash.
	CrashAt int
	Applied bool
	// TimeoutAt is the operation that is applied when it is a write, but reports ErrTimeout.
	TimeoutAt int
	// Counts tells which operations count for the numbers above and for Ops; nil counts all. The log has all.
	Counts func(Op) bool
}

// Injector carries out a plan over all stores that it wraps, which count together.
type Injector struct {
	plan Plan

	mu      sync.Mutex
	ops     int
	crashed bool
	log     strings.Builder
}

// New makes an Injector.
func New(plan Plan) *Injector { return &Injector{plan: plan} }

// Wrap gives s with the faults of the plan. The result is a store.FilePutter, and store.Local when s is.
func (in *Injector) Wrap(s store.Store) store.Store {
	w := wrapped{in, s}
	if l, ok := s.(store.Local); ok {
		return struct {
			wrapped
			store.Local
		}{w, l}
	}
	return w
}

// Ops is the number of counted operations so far.
func (in *Injector) Ops() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.ops
}

// Log lists the operations so far, a line each: name, key, and for an operation that broke how.
func (in *Injector) Log() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.log.String()
}

// verdict says what becomes of one operation: the error it reports, and whether it is applied before.
type verdict struct {
	err   error
	apply bool
}

func (in *Injector) next(op Op) verdict {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.plan.Counts == nil || in.plan.Counts(op) {
		in.ops++
	}
	v, note := in.decide(op)
	fmt.Fprintf(&in.log, "%s %s%s\n", op.Name, op.Key, note)
	return v
}

func (in *Injector) decide(op Op) (verdict, string) {
	crash := verdict{err: fmt.Errorf("%s %s: %w", op.Name, op.Key, ErrCrashed)}
	if in.crashed {
		return crash, " (after the crash)"
	}
	if in.plan.Counts != nil && !in.plan.Counts(op) {
		return verdict{apply: true}, ""
	}
	switch in.ops {
	case 0:
	case in.plan.FailAt:
		if in.plan.Err != nil {
			return verdict{err: in.plan.Err}, " (fails)"
		}
		return verdict{err: fault.New(fault.Unavailable, op.Name, op.Key, "injected failure")}, " (fails)"
	case in.plan.CrashAt:
		in.crashed = true
		crash.apply = in.plan.Applied && op.Writes()
		if crash.apply {
			return crash, " (crashes, applied)"
		}
		return crash, " (crashes)"
	case in.plan.TimeoutAt:
		err := fault.New(fault.Unavailable, op.Name, op.Key, "%w", ErrTimeout)
		return verdict{err: err, apply: op.Writes()}, " (times out)"
	}
	return verdict{apply: true}, ""
}

// dead is ErrCrashed after the crash, for what happens within an operation.
func (in *Injector) dead() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.crashed {
		return ErrCrashed
	}
	return nil
}

type wrapped struct {
	in    *Injector
	inner store.Store
}

var _ store.FilePutter = wrapped{}

func (w wrapped) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if v := w.in.next(Op{Open, key}); v.err != nil {
		return nil, v.err
	}
	body, err := w.inner.Open(ctx, key, r)
	if err != nil {
		return nil, err
	}
	return reader{body, w.in}, nil
}

// reader stops at the crash.
type reader struct {
	io.ReadCloser
	in *Injector
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.in.dead(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

func (w wrapped) Stat(ctx context.Context, key string) (store.Object, error) {
	if v := w.in.next(Op{Stat, key}); v.err != nil {
		return store.Object{}, v.err
	}
	return w.inner.Stat(ctx, key)
}

func (w wrapped) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	return w.write(putOp(key, o), func() error { return w.inner.Put(ctx, key, body, o) })
}

func (w wrapped) PutFile(ctx context.Context, key, path string, o store.PutOptions) error {
	return w.write(putOp(key, o), func() error { return store.PutFile(ctx, w.inner, key, path, o) })
}

func (w wrapped) Delete(ctx context.Context, key string) error {
	return w.write(Op{Delete, key}, func() error { return w.inner.Delete(ctx, key) })
}

func putOp(key string, o store.PutOptions) Op {
	if o.IfAbsent {
		return Op{PutIfAbsent, key}
	}
	return Op{Put, key}
}

// write applies a write as the plan has it. The store's own refusal (ErrExists) is hidden by a crash or a
// time-out, as it is in life.
func (w wrapped) write(op Op, apply func() error) error {
	v := w.in.next(op)
	var err error
	if v.apply {
		err = apply()
	}
	if v.err != nil {
		return v.err
	}
	return err
}

func (w wrapped) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if v := w.in.next(Op{List, prefix}); v.err != nil {
			yield(store.Object{}, v.err)
			return
		}
		for o, err := range w.inner.List(ctx, prefix, after) {
			if dead := w.in.dead(); dead != nil {
				yield(store.Object{}, fmt.Errorf("list %s: %w", prefix, dead))
				return
			}
			if !yield(o, err) {
				return
			}
		}
	}
}
