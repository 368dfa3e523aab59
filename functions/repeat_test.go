package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/step"
)

// call is one invocation of a step.
type call struct {
	name string
	in   json.RawMessage
}

// twice makes every step run twice, as a retry after a lost answer does: the second answer counts. The calls are noted.
func twice(calls *[]call) settings {
	return settings{handler: func(name string, h step.Handler) step.Handler {
		return func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
			*calls = append(*calls, call{name, in})
			if _, err := h(ctx, in); err != nil {
				return nil, err
			}
			return h(ctx, in)
		}
	}}
}

// A repeated step changes nothing; nor does one that comes much too late, as a Lambda function does that went on after its time-out.
func TestStepsMayBeRepeated(t *testing.T) {
	l := newLab(t)
	s, calm := l.site(t), l.site(t)
	var calls []call
	for batch := 1; batch <= 2; batch++ {
		l.land(batch)
		run := fmt.Sprint("run-", batch)
		calm.mustRun(run)
		out, err := s.program(twice(&calls)).start(t.Context(), run)
		succeeded(t, out, err)
		s.sameButVersions(calm, run)
	}
	s.nothingNew()

	before, ledgerRows := s.state(), s.ledgerRows()
	late := s.program(settings{})
	for _, c := range calls {
		if _, err := late.steps[c.name](t.Context(), c.in); err != nil && fault.KindOf(err) != fault.Stale {
			t.Errorf("a late %s %s: %v", c.name, c.in, err)
		}
	}
	if diff := cmp.Diff(before, s.state()); diff != "" {
		t.Errorf("late steps changed the lake (-before +after):\n%s", diff)
	}
	if got := s.ledgerRows(); got != ledgerRows || got != 2 {
		t.Errorf("the ledger had %d rows for 2 runs, and has %d", ledgerRows, got)
	}
	s.nothingNew()
}

// sameButVersions compares the rows with another lake. A repeated bronze step takes the next page instead, so that versions are
// the same too.
func (s *site) sameButVersions(calm *site, run string) {
	s.t.Helper()
	s.equal(calm.state())
	want, got := calm.outcome(run), s.outcome(run)
	if got == nil || got.Counts != want.Counts || got.Status != want.Status {
		s.t.Errorf("the run's outcome is %+v, want %+v", got, want)
	}
}

func (s *site) ledgerRows() (n int64) {
	s.t.Helper()
	table, err := s.program(settings{}).lake.Open(s.t.Context(), ledger.Table)
	if err != nil {
		s.t.Fatal(err)
	}
	session, err := s.engine.Session(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	relation, err := session.Relation(s.t.Context(), table.Live(table.Snap))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := session.Row(s.t.Context(), "SELECT count(*) FROM "+relation, &n); err != nil {
		s.t.Fatal(err)
	}
	return n
}
