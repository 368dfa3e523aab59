package delta_test

import (
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// TestLostAnswer times out every operation of a commit in turn, applied but unanswered, and then repeats the commit: it must
// have taken place exactly once.
func TestLostAnswer(t *testing.T) {
	for at := 1; at <= 6; at++ {
		lake := mem.New()
		newTable(t, lake, nil)
		in := inject.New(inject.Plan{TimeoutAt: at})
		o := testOptions()
		o.NewID = func() string { return "only" }
		table := delta.Open(in.Wrap(lake), "silver/orders", o)
		s, err := table.Snapshot(t.Context(), delta.AsOf{})
		if err != nil {
			continue
		}
		x := s.Begin(write()).ReadNothing().Add(file("a.parquet"))
		v, err := x.Commit(t.Context())
		if err != nil {
			v, err = x.Commit(t.Context())
		}
		if err != nil || v != 1 {
			t.Errorf("time-out at %d: version %d, %v\n%s", at, v, err, in.Log())
		}
		if s := latest(t, delta.Open(lake, "silver/orders", testOptions())); s.Version() != 1 || s.NumFiles() != 1 {
			t.Errorf("time-out at %d: version %d with %d files", at, s.Version(), s.NumFiles())
		}
	}
}
