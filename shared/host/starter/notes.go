package starter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/store"
)

// A note is an object with an event that came during a run. It is never changed, and removed when a run that began after the event covers it: so
// starters that work at the same time lose none.
type note struct {
	key     string
	trigger event.Trigger
}

type notes []note

// note keeps an event.
func (s *Starter) note(ctx context.Context, t event.Trigger) error {
	if t.Time.IsZero() {
		t.Time = s.o.Now().UTC()
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return fault.New(fault.Internal, "note", "event", "%w", err)
	}
	return s.o.Notes.Put(ctx, fmt.Sprintf("%020d-%s.json", t.Time.UnixNano(), s.o.NewID()), bytes.NewReader(raw), store.PutOptions{})
}

// notes gives those that are there.
func (s *Starter) notes(ctx context.Context) (out notes, err error) {
	for o, err := range s.o.Notes.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		n, err := s.read(ctx, o.Key)
		if errors.Is(err, store.ErrNotFound) { // another starter has just removed it
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func (s *Starter) read(ctx context.Context, key string) (note, error) {
	body, err := s.o.Notes.Open(ctx, key, store.Range{})
	if err != nil {
		return note{}, err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return note{}, fault.New(fault.Unavailable, "read note", key, "%w", err)
	}
	n := note{key: key}
	if err := json.Unmarshal(raw, &n.trigger); err != nil {
		return note{}, fault.New(fault.InvalidInput, "read note", key, "%w", err).WithHint("remove the object: a run lists by itself what has landed")
	}
	return n, nil
}

// split tells the notes that a run covers from those that are open.
func (n notes) split(newest host.Execution, any bool) (open, covered notes) {
	for _, one := range n {
		if any && covers(newest, one.trigger.Time) {
			covered = append(covered, one)
		} else {
			open = append(open, one)
		}
	}
	return open, covered
}

// forget removes notes.
func (s *Starter) forget(ctx context.Context, covered notes) error {
	for _, one := range covered {
		if err := s.o.Notes.Delete(ctx, one.key); err != nil {
			return err
		}
	}
	return nil
}
