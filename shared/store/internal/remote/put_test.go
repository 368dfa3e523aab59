package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/internal/remote"
)

// short are limits for tests.
func short() remote.Limits {
	return remote.Limits{
		Attempts: 3, Resumes: 3, Request: 200 * time.Millisecond, Stall: 50 * time.Millisecond, Backoff: time.Millisecond,
		Part: 10, Parallel: 2,
	}
}

var errLost = fault.New(fault.Unavailable, "put", "k", "connection lost")

// service holds one object, and is an upload to it. answers says by request, "whole" or "finish", what becomes of each attempt: "lost" is
// applied without an answer, "dropped" is not applied, anything else is normal.
type service struct {
	answers  []string
	absent   bool   // If-None-Match
	foreign  string // object of another writer that is there from the start
	unknown  bool   // Mine gives an error
	failPart int

	mu      sync.Mutex
	object  string
	mine    bool
	parts   map[int]string
	aborted bool
	calls   []string
}

func (s *service) apply(name, data string) error {
	s.calls = append(s.calls, name)
	answer := ""
	if len(s.answers) > 0 {
		answer, s.answers = s.answers[0], s.answers[1:]
	}
	switch {
	case answer == "dropped":
		return errLost
	case answer == "denied":
		return fault.New(fault.InvalidInput, "put", "k", "no")
	case s.absent && (s.object != "" || s.foreign != ""):
		return fmt.Errorf("put: %w", store.ErrExists)
	}
	s.object, s.mine = data, true
	if answer == "lost" {
		return errLost
	}
	return nil
}

func (s *service) Whole(_ context.Context, data []byte) error { return s.apply("whole", string(data)) }

func (s *service) Start(context.Context) error { s.parts = map[int]string{}; return nil }

func (s *service) Part(_ context.Context, n int, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == s.failPart {
		return fault.New(fault.Throttled, "put", "k", "slow down")
	}
	s.parts[n] = string(data)
	return nil
}

func (s *service) Finish(_ context.Context, n int) error {
	var all strings.Builder
	for i := range n {
		all.WriteString(s.parts[i+1])
	}
	return s.apply("finish", all.String())
}

func (s *service) Abort(ctx context.Context) error { s.aborted = true; return ctx.Err() }

func (s *service) Mine(context.Context) (bool, error) {
	s.calls = append(s.calls, "mine")
	if s.unknown {
		return false, errLost
	}
	if s.object == "" && s.foreign == "" {
		return false, store.ErrNotFound
	}
	return s.mine, nil
}

func TestPutCutsBodies(t *testing.T) {
	for size := range 45 {
		body := strings.Repeat("0123456789abc", 4)[:size]
		for name, r := range map[string]io.Reader{"plain": strings.NewReader(body), "by bytes": iotest.OneByteReader(strings.NewReader(body))} {
			s := &service{}
			if err := remote.Put(t.Context(), short(), "k", r, store.PutOptions{}, s); err != nil || s.object != body || s.aborted {
				t.Errorf("%d bytes, %s: object %q, %v", size, name, s.object, err)
			}
			if whole := s.parts == nil; whole != (size <= 10) {
				t.Errorf("%d bytes, %s: in one request: %v", size, name, whole)
			}
		}
	}
}

// What is known and what is not after answers that were lost.
func TestPutIsDecided(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     *service
		want  error // nil: applied
		kind  fault.Kind
		calls string
	}{
		{"applied", &service{absent: true}, nil, "", "whole"},
		{"taken", &service{absent: true, foreign: "x"}, store.ErrExists, fault.Internal, "whole"},
		{"answer lost", &service{absent: true, answers: []string{"lost"}}, nil, "", "whole whole mine"},
		{"request lost", &service{absent: true, answers: []string{"dropped"}}, nil, "", "whole whole"},
		{"request lost, taken", &service{absent: true, foreign: "x", answers: []string{"dropped"}}, store.ErrExists, fault.Internal, "whole whole mine"},
		{"answers lost to the end", &service{answers: []string{"lost", "lost", "lost"}}, nil, "", "whole whole whole mine"},
		{"requests lost to the end", &service{absent: true, answers: []string{"dropped", "dropped", "dropped"}}, errLost, fault.Unavailable, "whole whole whole mine"},
		{"undecided to the end, taken", &service{absent: true, foreign: "x", answers: []string{"dropped", "dropped", "dropped"}}, store.ErrExists, fault.Internal, "whole whole whole mine"},
		{"never known", &service{absent: true, unknown: true, answers: []string{"lost"}}, errLost, fault.Unavailable, "whole whole mine"},
		{"refused at once", &service{answers: []string{"denied"}}, nil, fault.InvalidInput, "whole"},
		{"refused afterwards", &service{answers: []string{"dropped", "denied"}}, nil, fault.InvalidInput, "whole whole mine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := remote.Put(t.Context(), short(), "k", strings.NewReader("body"), store.PutOptions{IfAbsent: tt.s.absent}, tt.s)
			if fault.KindOf(err) != tt.kind || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Errorf("error %v of kind %q, want %v of kind %q", err, fault.KindOf(err), tt.want, tt.kind)
			}
			if got := strings.Join(tt.s.calls, " "); got != tt.calls {
				t.Errorf("calls %q, want %q", got, tt.calls)
			}
		})
	}
}

// Parts of a write that does not come to its end are dropped, also when the caller has gone.
func TestPutDropsParts(t *testing.T) {
	long := strings.Repeat("x", 35)
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	for _, tt := range []struct {
		name string
		ctx  context.Context
		body io.Reader
		s    *service
		want error
	}{
		{"body breaks", t.Context(), io.MultiReader(strings.NewReader(long), iotest.ErrReader(broken)), &service{}, broken},
		{"part fails", t.Context(), strings.NewReader(long), &service{failPart: 2}, nil},
		{"taken", t.Context(), strings.NewReader(long), &service{absent: true, foreign: "x"}, store.ErrExists},
		{"cancelled", ctx, io.MultiReader(strings.NewReader(long), canceller{cancel}), &service{}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := remote.Put(tt.ctx, short(), "k", tt.body, store.PutOptions{IfAbsent: tt.s.absent}, tt.s)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !tt.s.aborted || tt.s.object != "" {
				t.Errorf("error %v, aborted %v, object %q", err, tt.s.aborted, tt.s.object)
			}
		})
	}
}

type canceller struct{ cancel context.CancelFunc }

func (c canceller) Read(p []byte) (int, error) { c.cancel(); return 1, nil }
