// Package secret gives pipelines their credentials by reference: a pipeline says where a credential is kept ("env:PGPASSWORD",
// "aws-secretsmanager:shop/db#password", "azure-keyvault:shop/db-password") and never what it is, so that none is in a repository, in the lake
// or in a payload between steps.
//
// A Resolver keeps what it got for some minutes: a rotated credential is taken up without a new deployment, at once when the old one is
// refused and the caller says Forget. Values are Text, which no printing shows, and no error holds one.
package secret

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/lakestep/lakestep/shared/fault"
)

// Store is a place where secrets are kept. Get gives the current value of one. A secret that is missing, or may not be read, is an
// InvalidInput fault whose hint says what to do. No error holds a value. Get ends with its context, and in bounded time.
type Store interface {
	Get(ctx context.Context, name string) (string, error)
}

// DefaultTTL is how long a value is kept, unless Options say otherwise.
const DefaultTTL = 5 * time.Minute

// Options say what a Resolver stands on.
type Options struct {
	Stores map[string]Store // by scheme
	Now    func() time.Time // the clock; it must be given
	TTL    time.Duration    // how long a value is kept; 0: DefaultTTL
}

// Resolver gives the values of references. It may be used from many goroutines.
type Resolver struct {
	o       Options
	flights singleflight.Group

	mu      sync.Mutex
	kept    map[string]entry // by scheme and name: the fields of a secret come from one reading of it
	forgets int
}

// entry is a value and when it was asked for.
type entry struct {
	value string
	at    time.Time
}

// New makes a Resolver.
func New(o Options) *Resolver {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	return &Resolver{o: o, kept: map[string]entry{}}
}

// Resolve gives the value that a reference names. Calls for one secret at the same time share one request.
func (r *Resolver) Resolve(ctx context.Context, reference string) (Text, error) {
	ref, err := Parse(reference)
	if err != nil {
		return Text{}, err
	}
	value, err := r.value(ctx, ref)
	if err != nil {
		return Text{}, err
	}
	if value, err = ref.pick(value); err != nil {
		return Text{}, err
	}
	return NewText(value), nil
}

// Forget drops what is kept of a secret, with all its fields: the next Resolve asks its store. Call it when a value was refused.
func (r *Resolver) Forget(reference string) {
	ref, err := Parse(reference)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, ref.secret())
	r.forgets++ // a request that is under way may bring the refused value: its answer is not kept
	r.flights.Forget(ref.secret())
}

// errLeft is what those get that share the request of a caller whose context ended.
var errLeft = errors.New("the caller that asked is gone")

// value gives a whole secret.
func (r *Resolver) value(ctx context.Context, ref Ref) (string, error) {
	for {
		if value, ok := r.recent(ref); ok {
			return value, nil
		}
		answer := r.flights.DoChan(ref.secret(), func() (any, error) { return r.fetch(ctx, ref) })
		select {
		case <-ctx.Done():
		case res := <-answer:
			if !errors.Is(res.Err, errLeft) {
				value, _ := res.Val.(string)
				return value, res.Err
			}
		}
		if err := ctx.Err(); err != nil {
			return "", fault.New(fault.Unavailable, "get secret", ref.secret(), "%w", err).WithHint("the call was ended from outside; repeat it")
		}
	}
}

// recent gives a value that is kept, if it is young enough. A clock that went back makes it old.
func (r *Resolver) recent(ref Ref) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.kept[ref.secret()]
	age := r.o.Now().Sub(e.at)
	return e.value, ok && age >= 0 && age < r.o.TTL
}

// fetch asks the store, and keeps the answer.
func (r *Resolver) fetch(ctx context.Context, ref Ref) (string, error) {
	if value, ok := r.recent(ref); ok { // another request ended after the caller looked
		return value, nil
	}
	store, ok := r.o.Stores[ref.Scheme]
	if !ok {
		have := slices.Sorted(maps.Keys(r.o.Stores))
		return "", fault.New(fault.InvalidInput, "get secret", ref.secret(), "this program has no store %s", ref.Scheme).
			WithHint("it has: %s", strings.Join(have, ", "))
	}
	r.mu.Lock()
	forgets := r.forgets
	r.mu.Unlock()
	at := r.o.Now()
	value, err := store.Get(ctx, ref.Name)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", errLeft
	case err != nil:
		return "", err
	case value == "":
		return "", fault.New(fault.InvalidInput, "get secret", ref.secret(), "it is empty").WithHint("give it a value")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if forgets == r.forgets {
		r.kept[ref.secret()] = entry{value, at}
	}
	return value, nil
}
