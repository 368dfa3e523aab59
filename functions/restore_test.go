package functions_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/inject"
)

// quarantines are where the shop's tables send what they refuse.
func quarantines() map[string]string {
	return map[string]string{"bronze.raw_orders": "bronze.rejected_rows", "bronze.raw_customers": "bronze.rejected_rows",
		"silver.orders": "silver.quarantine_orders", "silver.customers": "silver.quarantine_customers"}
}

// restored is a lake after two batches, with the states after each.
type restored struct {
	*site
	first, second state
}

func newRestored(t *testing.T) restored {
	l := newLab(t)
	r := restored{site: l.site(t)}
	l.land(1)
	r.mustRun("one")
	r.first = r.state()
	l.land(2)
	r.mustRun("two")
	r.second = r.state()
	return r
}

// restore takes a table back to what it was after the first batch.
func (r restored) restore(ctx context.Context, s *site, o settings, table string) error {
	v := r.first.Versions[table]
	_, err := s.program(o).lake.Restore(ctx, table, quarantines()[table], delta.AsOf{Version: &v}, false)
	return err
}

func (r restored) sameRows(t *testing.T, s *site, want state) {
	t.Helper()
	got := s.state()
	if diff := cmp.Diff(want.Rows, got.Rows); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	s.balanced(got)
}

// A table that was taken back, with those behind it, is brought up to date by the next run: nothing is lost, nothing doubled, and the
// quarantines agree. In between it is what it was.
func TestRestoreAndRunAgain(t *testing.T) {
	r := newRestored(t)
	rounds := 1
	if long() {
		rounds = 2
	}
	for _, tables := range []string{
		"gold.customer_history", "gold.revenue",
		"silver.orders gold.order_facts",
		"gold.customer_history silver.customers",
		"bronze.raw_orders silver.orders gold.order_facts",
		"bronze.raw_orders bronze.raw_customers silver.orders silver.customers gold.order_facts gold.customer_history",
	} {
		t.Run(tables, func(t *testing.T) {
			s := r.copy(t)
			for range rounds { // the second time undoes what the run did
				for _, name := range strings.Fields(tables) {
					for range 2 { // repeated, it changes nothing
						must(t, r.restore(t.Context(), s, settings{}, name))
					}
				}
				got := s.state()
				for _, name := range strings.Fields(tables) {
					for _, name := range []string{name, quarantines()[name]} {
						if name != "bronze.rejected_rows" || strings.Contains(tables, "raw_customers") {
							if diff := cmp.Diff(r.first.Rows[name], got.Rows[name]); diff != "" {
								t.Errorf("%s was not taken back (-want +got):\n%s", name, diff)
							}
						}
					}
				}
				s.mustRun(fmt.Sprint("again-", s.lives.Add(1)))
				r.sameRows(t, s, r.second)
				s.nothingNew()
			}
			s.otherReader()
		})
	}
}

// A restore may be undone.
func TestRestoreAndBack(t *testing.T) {
	r := newRestored(t)
	for _, name := range []string{"bronze.raw_orders", "silver.orders", "silver.customers", "gold.order_facts"} {
		s := r.copy(t)
		must(t, r.restore(t.Context(), s, settings{}, name))
		v := r.second.Versions[name]
		_, err := s.program(settings{}).lake.Restore(t.Context(), name, quarantines()[name], delta.AsOf{Version: &v}, false)
		must(t, err)
		r.sameRows(t, s, r.second)
		s.mustRun("again") // for the full tables, which look at versions
		r.sameRows(t, s, r.second)
	}
}

// Whoever had read what a restore took back stops, and says what to do.
func TestRestoreStopsThoseBehind(t *testing.T) {
	r := newRestored(t)
	s := r.copy(t)
	must(t, r.restore(t.Context(), s, settings{}, "silver.orders"))
	out, err := s.program(settings{}).start(t.Context(), "again")
	want := fmt.Sprintf("(RESTORE) took it back to version %d", r.first.Versions["silver.orders"])
	if err != nil || out.Status != asl.Failed || out.Error != string(fault.SourceLost) || !strings.Contains(out.Cause, want) || !strings.Contains(out.Cause, "lakestep table restore") {
		t.Errorf("%v, %s %s: %s", err, out.Status, out.Error, out.Cause)
	}
}

// A restore that dies anywhere is made good: by itself when it is repeated, and by the next run when the table was taken back and
// its quarantine not.
func TestRestoreDies(t *testing.T) {
	r := newRestored(t)
	for _, name := range []string{"bronze.raw_orders", "silver.orders"} {
		in := inject.New(inject.Plan{})
		must(t, r.restore(t.Context(), r.copy(t), settings{wrap: in.Wrap}, name))
		ops := strings.Split(strings.TrimSpace(in.Log()), "\n")
		for at, op := range ops {
			if !strings.HasPrefix(op, "put") && !long() {
				continue
			}
			for _, applied := range []bool{false, true} {
				for _, repeat := range []bool{false, true} {
					if repeat == (at%2 == 0) && !long() {
						continue
					}
					s := r.copy(t)
					plan := inject.Plan{How: inject.Crash, At: at + 1}
					if applied {
						plan.How = inject.CrashApplied
					}
					in := inject.New(plan)
					if err := r.restore(t.Context(), s, settings{wrap: in.Wrap}, name); err == nil {
						continue // a checkpoint that could not be written
					}
					if repeat {
						must(t, r.restore(t.Context(), s, settings{}, name))
					}
					for _, behind := range []string{"silver.orders", "gold.order_facts"} {
						must(t, r.restore(t.Context(), s, settings{}, behind))
					}
					s.mustRun("again")
					r.sameRows(t, s, r.second)
				}
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
