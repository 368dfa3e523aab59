package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lakestep/lakestep/shared/store"
)

const (
	racers = 16
	rounds = 60
)

// race: of 16 writers that put the same key at the same time exactly one wins, each other one learns that the
// key exists, and what is read, by them too, is what the winner wrote.
func race(t *testing.T, s store.Store) {
	for round := range rounds {
		key := fmt.Sprintf("log/%020d.json", round)
		var won atomic.Int32
		winner := make([]int, racers)
		errs := together(racers, func(i int) error {
			body := strings.Repeat(fmt.Sprintf("%02d", i), 2000)
			err := s.Put(t.Context(), key, strings.NewReader(body), store.PutOptions{IfAbsent: true})
			if err == nil {
				won.Add(1)
				winner[i] = 1
			} else if !errors.Is(err, store.ErrExists) {
				return err
			}
			b, err := store.ReadAll(t.Context(), s, key, 1<<20)
			if err == nil && (len(b) != 4000 || (winner[i] == 1) != (string(b) == body)) {
				err = fmt.Errorf("writer %d (won: %d) reads %d bytes, %.4q", i, winner[i], len(b), b)
			}
			return err
		})
		if errs != nil || won.Load() != 1 {
			t.Fatalf("round %d: %d winners, %v", round, won.Load(), errs)
		}
	}
}

// largeRace: also of writers whose bodies go in parts exactly one wins, and what is there is what it wrote, whole. inTurn has one write after
// the other.
func largeRace(t *testing.T, s store.Store, inTurn bool) {
	const size = 9 << 20
	var turn sync.Mutex
	for round := range 3 {
		key := fmt.Sprintf("data/%d", round)
		var winner atomic.Int32
		errs := together(4, func(i int) error {
			if inTurn {
				turn.Lock()
				defer turn.Unlock()
			}
			body := io.LimitReader(repeated(byte('a'+i)), size)
			err := s.Put(t.Context(), key, body, store.PutOptions{IfAbsent: true})
			if errors.Is(err, store.ErrExists) {
				return nil
			}
			if err == nil && !winner.CompareAndSwap(0, int32('a'+i)) {
				err = errors.New("two writers won")
			}
			return err
		})
		if errs != nil || winner.Load() == 0 {
			t.Fatalf("round %d: winner %q, %v", round, winner.Load(), errs)
		}
		b, err := store.ReadAll(t.Context(), s, key, size)
		if err != nil || len(b) != size || strings.Trim(string(b), string(rune(winner.Load()))) != "" {
			t.Fatalf("round %d: %d bytes that are not the winner's, %v", round, len(b), err)
		}
	}
}

// repeated gives one byte again and again.
type repeated byte

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// partialReads: while a key is overwritten again and again with bodies of one repeated letter, every read
// gives one whole body.
func partialReads(t *testing.T, s store.Store) {
	const size = 300_000
	body := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), size+i%26) }
	put(t, s, "k", body(0))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := together(5, func(i int) error {
		if i == 0 {
			defer stop()
			for n := range 60 {
				if err := s.Put(t.Context(), "k", strings.NewReader(body(n)), store.PutOptions{}); err != nil {
					return err
				}
			}
			return nil
		}
		for ctx.Err() == nil {
			if err := wholeBody(t.Context(), s, size); err != nil {
				return err
			}
		}
		return nil
	})
	if errs != nil {
		t.Error(errs)
	}
}

func wholeBody(ctx context.Context, s store.Store, size int) error {
	r, err := s.Open(ctx, "k", store.Range{})
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if want := size + int(b[0]-'a'); len(b) != want || strings.Trim(string(b), string(b[:1])) != "" {
		return fmt.Errorf("a read gives %d bytes starting with %q: not one whole body", len(b), b[:1])
	}
	return nil
}

// together runs fn n times at once and joins the errors.
func together(n int, fn func(i int) error) error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}
