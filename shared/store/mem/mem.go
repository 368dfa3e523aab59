// Package mem keeps objects in memory: the store of tests and of dry runs.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store in memory. Unlike a file store it may hold both "a" and "a/b", as object storage does.
type Store struct {
	// Now gives the objects' ModTime. New sets it to time.Now; set another before first use.
	Now func() time.Time

	mu      sync.RWMutex
	objects map[string]object
	writes  int // counts all writes; each is the ETag of what it wrote
}

// object is never changed once it is in the map, so that a reader needs no lock.
type object struct {
	data []byte
	info store.Object
}

// New gives an empty store.
func New() *Store { return &Store{Now: time.Now, objects: map[string]object{}} }

// Open implements store.Store.
func (s *Store) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if err := store.CheckRange(key, r); err != nil {
		return nil, err
	}
	o, err := s.get(ctx, "open", key)
	if err != nil {
		return nil, err
	}
	data := o.data[min(r.Offset, int64(len(o.data))):]
	if r.Length > 0 {
		data = data[:min(r.Length, int64(len(data)))]
	}
	return io.NopCloser(store.ContextReader(ctx, bytes.NewReader(data))), nil
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Object, error) {
	o, err := s.get(ctx, "stat", key)
	return o.info, err
}

func (s *Store) get(ctx context.Context, op, key string) (object, error) {
	if err := check(ctx, op, key); err != nil {
		return object{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, ok := s.objects[key]
	if !ok {
		return object{}, fmt.Errorf("%s %s: %w", op, key, store.ErrNotFound)
	}
	return o, nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	if err := check(ctx, "put", key); err != nil {
		return err
	}
	data, err := io.ReadAll(store.ContextReader(ctx, body))
	if err != nil {
		return fmt.Errorf("put %s: body: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil { // while it waited for the lock
		return fmt.Errorf("put %s: %w", key, err)
	}
	if _, ok := s.objects[key]; ok && o.IfAbsent {
		return fmt.Errorf("put %s: %w", key, store.ErrExists)
	}
	s.writes++
	s.objects[key] = object{data, store.Object{
		Key: key, Size: int64(len(data)), ModTime: s.Now(), ETag: strconv.Itoa(s.writes),
	}}
	return nil
}

// List implements store.Store: the objects as they were when the iteration began.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Object{}, err)
			return
		}
		for _, o := range s.listed(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(store.Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(store.Object{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

func (s *Store) listed(prefix, after string) []store.Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []store.Object
	for key, o := range s.objects {
		if key > after && strings.HasPrefix(key, prefix) {
			found = append(found, o.info)
		}
	}
	slices.SortFunc(found, func(a, b store.Object) int { return strings.Compare(a.Key, b.Key) })
	return found
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, "delete", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

func check(ctx context.Context, op, key string) error {
	if err := store.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, key, err)
	}
	return nil
}
