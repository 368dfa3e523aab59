package lake_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// decide commits a decision without rows.
func decide(t *testing.T, lab *laketest.Lab, name, run string, change func(*lake.Decision)) *lake.Decision {
	t.Helper()
	table := lab.Open(t, name)
	d := table.Next(run, lab.Lake.NewAttempt())
	change(d)
	if err := table.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	txn := table.Snap.Begin(delta.Operation{Name: "WRITE", Attempt: d.Attempt})
	schema := delta.Schema{Fields: []delta.Field{{Name: "a", Type: delta.String, Nullable: true}}}
	if err := lake.Evolve(table.Delta, table.Snap, txn, schema, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := txn.SetTxn(lake.AppID(name), d.Attempt).ReadNothing().Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// Over 260 batches the cursor knows every item, at its newest, and a run all its decisions; no document of a decision holds more than what
// is new.
func TestLongChain(t *testing.T) {
	const table, batches, first = "bronze.events", 260, 105
	objects := mem.New()
	lab := laketest.New(t, func(string) (store.Store, error) { return objects, nil })
	want := map[string]connector.Item{}
	runs := map[string]int64{}
	segments := 0
	for i := range batches {
		run := "one"
		if i >= first {
			run = "two"
		}
		d := decide(t, lab, table, run, func(d *lake.Decision) {
			d.Counts = lake.Counts{Read: int64(i), Accepted: int64(i)}
			for _, key := range []string{fmt.Sprintf("new-%d", i), fmt.Sprintf("again-%d", i%7)} {
				it := connector.Item{Key: key, Size: int64(i), SHA256: fmt.Sprintf("%064d", i)}
				d.Items = append(d.Items, it)
				want[key] = it
			}
		})
		runs[run] += d.Counts.Read
		o, err := objects.Stat(t.Context(), fmt.Sprintf("bronze/events/_lakestep/cursors/%d.json", d.Attempt))
		if err != nil {
			t.Fatal(err)
		}
		if o.Size > 1200 {
			t.Fatalf("document %d has %d bytes", i, o.Size)
		}
		segments = max(segments, len(d.Older))
		if i%53 == 0 || i == first-1 || i == batches-1 {
			at := lab.Open(t, table)
			seen, err := at.Seen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, seen.Items); diff != "" {
				t.Fatalf("seen after %d batches, want -, got +\n%s", i+1, diff)
			}
			if got := ofRun(t, at, run); got != runs[run] {
				t.Fatalf("after %d batches run %s read %d, want %d", i+1, run, got, runs[run])
			}
		}
	}
	if segments != 2 {
		t.Errorf("%d segments, want 2", segments)
	}

	// A segment that is gone or changed stops the stream: its files would be taken in again.
	for o, err := range objects.List(t.Context(), "bronze/events/_lakestep/cursors/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(o.Key, "-items.json") {
			if err := objects.Put(t.Context(), o.Key, strings.NewReader("[]"), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := lab.Open(t, table).Seen(t.Context()); fault.KindOf(err) != fault.SourceLost {
		t.Errorf("a changed segment: %v", err)
	}
}

func ofRun(t *testing.T, table *lake.Table, run string) (read int64) {
	t.Helper()
	decisions, err := table.OfRun(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range decisions {
		read += d.Counts.Read
	}
	return read
}

// Counts that do not balance are refused before anything is written.
func TestSaveRefusesCountsThatDoNotBalance(t *testing.T) {
	lab := laketest.New(t, func(string) (store.Store, error) { return mem.New(), nil })
	table := lab.Open(t, "silver.x")
	d := table.Next("r", 7)
	d.Counts = lake.Counts{Read: 3, Accepted: 1, Quarantined: 1}
	if err := table.Save(context.Background(), d); err == nil {
		t.Error("saved")
	}
	if _, err := lab.Lake.Store.Stat(t.Context(), "silver/x/_lakestep/cursors/7.json"); err == nil {
		t.Error("the document was written")
	}
}
