// Package fault holds the one error type of lakestep and its kinds.
//
// A Kind is the error name that a state machine's Retry and Catch match, so a kind is part of the
// definition's vocabulary: every ErrorEquals in statemachines/ names a Kind (or a States.* name), and
// every Kind is caught there. A Fault says what went wrong (Op, Object, Err) and what the operator
// does next (Hint). Errors carry no secrets: a caller that builds a Fault puts names in it, never values
// of credentials.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind names a class of failure by what the caller should do about it.
type Kind string

// The kinds. Throttled and Unavailable are retried with backoff; Stale goes back to the step on a new
// snapshot; all others end the run.
const (
	Throttled     Kind = "Throttled"     // the other side asks for less; retry later
	Unavailable   Kind = "Unavailable"   // a network or service failure; retry
	Stale         Kind = "Stale"         // the table moved on under a staged commit; redo the step
	InvalidInput  Kind = "InvalidInput"  // configuration, event or data that cannot be used as given
	SchemaBroken  Kind = "SchemaBroken"  // a table's schema or contract does not hold
	QualityFailed Kind = "QualityFailed" // a quality gate is closed
	SourceLost    Kind = "SourceLost"    // the position in a source or upstream table no longer exists
	Internal      Kind = "Internal"      // a bug in lakestep
)

// Kinds lists every Kind, in the order above.
func Kinds() []Kind {
	return []Kind{Throttled, Unavailable, Stale, InvalidInput, SchemaBroken, QualityFailed, SourceLost, Internal}
}

// Retryable tells whether the same call may succeed if it is repeated unchanged.
func (k Kind) Retryable() bool { return k == Throttled || k == Unavailable }

// Fault is an error with a kind. Op is what was being done ("commit"), Object what it was done to
// ("silver.cleaned_orders", "pipeline.yaml:12:3"), Hint what the operator does next. Err may be nil
// when Op and Object say it all.
type Fault struct {
	Kind   Kind
	Op     string
	Object string
	Hint   string
	Err    error
}

// Error is "op object: cause", without the hint, which has a line of its own wherever errors are shown.
func (f *Fault) Error() string {
	s := f.Op
	if f.Object != "" {
		if s != "" {
			s += " "
		}
		s += f.Object
	}
	if f.Err == nil {
		return s
	}
	if s == "" {
		return f.Err.Error()
	}
	return s + ": " + f.Err.Error()
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// New makes a Fault whose cause is the formatted message (with %w a wrapped error). A passed deadline or a call that was given up is nobody's
// bug: what would be Internal for that is Unavailable.
func New(kind Kind, op, object, format string, args ...any) *Fault {
	f := &Fault{Kind: kind, Op: op, Object: object, Err: fmt.Errorf(format, args...)}
	if kind == Internal && givenUp(f.Err) {
		f.Kind = Unavailable
	}
	return f
}

func givenUp(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// WithHint gives the same fault with a hint.
func (f *Fault) WithHint(format string, args ...any) *Fault {
	g := *f
	g.Hint = fmt.Sprintf(format, args...)
	return &g
}

// KindOf is the kind of the outermost Fault in err's chain; Unavailable for a passed deadline, Internal for
// any other error, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var f *Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	if givenUp(err) {
		return Unavailable
	}
	return Internal
}

// HintOf is the first hint in err's chain, "" when there is none.
func HintOf(err error) string {
	for err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Err
	}
	return ""
}
