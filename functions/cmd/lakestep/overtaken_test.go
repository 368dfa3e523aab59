package main

import (
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// A run that a later one of its pipeline overtook is not gone on with: its SQL may be older than what it would replace.
func TestOvertaken(t *testing.T) {
	l := lake.New(lake.Options{Store: mem.New(), Now: time.Now})
	put := func(run, name string, doc any) {
		t.Helper()
		if err := l.PutRun(t.Context(), run, name, doc); err != nil {
			t.Fatal(err)
		}
	}
	put("2", ledger.PlanDocument, ledger.Plan{Pipeline: "a"})
	put("3", ledger.PlanDocument, ledger.Plan{Pipeline: "b"})
	put("4", lake.HeldDocument("silver.x"), lake.Held{}) // no plan: it found nothing to do
	for run, want := range map[string]fault.Kind{"1": fault.InvalidInput, "2": "", "3": "", "4": ""} {
		if got := fault.KindOf(overtaken(t.Context(), l, run)); got != want {
			t.Errorf("run %s: %q, want %q", run, got, want)
		}
	}
	put("5", ledger.PlanDocument, ledger.Plan{Pipeline: "a"})
	if got := fault.KindOf(overtaken(t.Context(), l, "2")); got != fault.InvalidInput {
		t.Errorf("run 2 behind run 5: %q", got)
	}
	put("2", ledger.OutcomeDocument, ledger.Outcome{})
	if err := overtaken(t.Context(), l, "2"); err != nil {
		t.Errorf("run 2 has ended: %v", err)
	}
}
