// Package inject breaks a store on purpose, for tests: at its n-th operation it fails, "crashes", times out, acts twice, tears a write or
// lies about what is there. It logs all operations, so that the I/O of a step can be reviewed in a golden file.
//
// The usual test runs the work once without a plan, and then once for each of Plans(in.Ops()): every way to break, at every operation. A plan
// is its own name (String), and the same plan on the same work breaks the same operation: a failure is replayed by the name of its subtest.
package inject

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
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

// How is a way to break an operation.
type How string

// The ways to break. A crash is followed by the failure of every other operation, as after the death of the process.
const (
	Fail         How = "fail"          // it is not applied, and gives Plan.Err
	TimeOut      How = "time out"      // it is applied, and gives ErrTimeout
	Crash        How = "crash"         // the process dies before it is applied
	CrashApplied How = "crash applied" // the process dies when it was applied, whole; of writes
	Tear         How = "tear"          // the process dies with half of a Put in a temporary file (store.TempPrefix); where the store is store.Local
	Twice        How = "twice"         // a write is applied, and again: of a put-if-absent the caller hears that the key exists
	Cut          How = "cut"           // half of a listing or of an object comes, then an Unavailable fault
	Stale        How = "stale"         // a listing lacks the object that was written last
	Backwards    How = "backwards"     // a listing comes in descending order, against the contract of store.Store
)

// Breaks tells whether an operation can be broken in this way, and differently than in another.
func (h How) Breaks(o Op) bool {
	switch h {
	case Fail, TimeOut, Crash:
		return h != TimeOut || o.Writes() // of a read a time-out is a failure
	case CrashApplied:
		return o.Writes()
	case Tear:
		return o.Name == Put || o.Name == PutIfAbsent
	case Twice:
		return o.Writes()
	case Cut:
		return o.Name == Open || o.Name == List
	case Stale, Backwards:
		return o.Name == List
	}
	return false
}

// Plan says what breaks, and how. The zero Plan breaks nothing.
type Plan struct {
	How How
	At  int   // the operation, from 1
	Err error // of Fail; nil: a fault of kind Unavailable
	// Counts tells which operations count for At and for Ops; nil counts all. The log has all.
	Counts func(Op) bool
}

// String is "crash at 17".
func (p Plan) String() string {
	if p.How == "" {
		return "nothing"
	}
	return fmt.Sprintf("%s at %d", p.How, p.At)
}

// Plans gives all ways to break each of the operations of a run, in their order.
func Plans(ops []Op) (all []Plan) {
	for i, op := range ops {
		for _, how := range []How{Fail, TimeOut, Crash, CrashApplied, Tear, Twice, Cut, Stale, Backwards} {
			if how.Breaks(op) {
				all = append(all, Plan{How: how, At: i + 1})
			}
		}
	}
	return all
}

// Injector carries out a plan over all stores that it wraps, which count together.
type Injector struct {
	plan Plan

	mu      sync.Mutex
	ops     []Op
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

// Ops are the counted operations so far.
func (in *Injector) Ops() []Op {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.ops)
}

// Log lists the operations so far, a line each: name, key, and for an operation that broke how.
func (in *Injector) Log() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.log.String()
}

// verdict says what becomes of one operation: the error it reports, and whether it is applied before; how is "" when it is not broken.
type verdict struct {
	how   How
	err   error
	apply bool
}

func (in *Injector) next(op Op) verdict {
	in.mu.Lock()
	defer in.mu.Unlock()
	counts := in.plan.Counts == nil || in.plan.Counts(op)
	if counts {
		in.ops = append(in.ops, op)
	}
	v, note := verdict{apply: true}, ""
	switch {
	case in.crashed:
		v, note = verdict{err: crashed(op)}, " (after the crash)"
	case counts && len(in.ops) == in.plan.At && in.plan.How.Breaks(op):
		v, note = in.decide(op), " ("+string(in.plan.How)+")"
	}
	fmt.Fprintf(&in.log, "%s %s%s\n", op.Name, op.Key, note)
	return v
}

func crashed(op Op) error { return fmt.Errorf("%s %s: %w", op.Name, op.Key, ErrCrashed) }

func (in *Injector) decide(op Op) verdict {
	v := verdict{how: in.plan.How}
	switch v.how {
	case Fail:
		if v.err = in.plan.Err; v.err == nil {
			v.err = fault.New(fault.Unavailable, op.Name, op.Key, "injected failure")
		}
	case Crash, CrashApplied, Tear:
		in.crashed = true
		v.err, v.apply = crashed(op), v.how == CrashApplied
	case TimeOut:
		v.err, v.apply = fault.New(fault.Unavailable, op.Name, op.Key, "%w", ErrTimeout), true
	case Twice, Cut, Stale, Backwards:
		v.apply = true
	}
	return v
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
	v := w.in.next(Op{Open, key})
	if v.err != nil {
		return nil, v.err
	}
	body, err := w.inner.Open(ctx, key, r)
	if err != nil {
		return nil, err
	}
	if v.how == Cut {
		return half(key, body)
	}
	return reader{body, w.in}, nil
}

// half gives the first half of a body, and then an error.
func half(key string, body io.ReadCloser) (io.ReadCloser, error) {
	defer body.Close()
	all, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	broken := fault.New(fault.Unavailable, Open, key, "injected break after %d of %d bytes", len(all)/2, len(all))
	return io.NopCloser(io.MultiReader(strings.NewReader(string(all[:len(all)/2])), breaking{broken})), nil
}

type breaking struct{ err error }

func (b breaking) Read([]byte) (int, error) { return 0, b.err }

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

func (w wrapped) Delete(ctx context.Context, key string) error {
	return w.write(Op{Delete, key}, nil, func() error { return w.inner.Delete(ctx, key) })
}

// List gives a listing as the plan has it; one that lies is read whole first.
func (w wrapped) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		v := w.in.next(Op{List, prefix})
		switch {
		case v.err != nil:
			yield(store.Object{}, v.err)
			return
		case v.how != "":
			w.lie(ctx, v.how, prefix, after, yield)
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

func (w wrapped) lie(ctx context.Context, how How, prefix, after string, yield func(store.Object, error) bool) {
	var all []store.Object
	for o, err := range w.inner.List(ctx, prefix, after) {
		if err != nil {
			yield(o, err)
			return
		}
		all = append(all, o)
	}
	switch how {
	case Stale:
		if len(all) > 0 {
			last := slices.MaxFunc(all, func(a, b store.Object) int { return a.ModTime.Compare(b.ModTime) })
			all = slices.DeleteFunc(all, func(o store.Object) bool { return o.Key == last.Key })
		}
	case Backwards:
		slices.Reverse(all)
	case Cut:
		all = all[:len(all)/2]
	}
	for _, o := range all {
		if !yield(o, nil) {
			return
		}
	}
	if how == Cut {
		yield(store.Object{}, fault.New(fault.Unavailable, List, prefix, "injected break after %d objects", len(all)))
	}
}
