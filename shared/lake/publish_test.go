package lake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions/publish"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
)

func openFile(root string) (store.Store, error) { return file.New(root) }

const silver = "silver.x"

var schema = delta.Schema{Fields: []delta.Field{{Name: "a", Type: delta.String, Nullable: true}}}

// stage writes rows and a staged commit of them, with refused rows for silver.refused, on the table as it is.
func stage(t *testing.T, lab *laketest.Lab, input int64, refused ...string) lake.StagedRef {
	t.Helper()
	table := lab.Open(t, silver)
	d := table.Next("r", lab.Lake.NewAttempt())
	d.Model, d.Inputs["bronze.x"] = "m", lake.Input{Version: input, TableID: "b"}
	adds := write(t, lab, table.Delta, d.Attempt, fmt.Sprintf("good %d", d.Attempt))
	d.Counts = lake.Counts{Read: 1 + int64(len(refused)), Accepted: 1, Quarantined: int64(len(refused))}
	if len(refused) > 0 {
		d.Refused = &lake.Refused{Attempt: d.Attempt, Table: "silver.refused", Schema: schema, Rows: int64(len(refused)),
			Adds: write(t, lab, lab.Lake.Delta("silver.refused"), d.Attempt, refused...)}
	}
	if err := table.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	txn := table.Snap.Begin(delta.Operation{Name: "WRITE", Attempt: d.Attempt})
	if err := lake.Evolve(table.Delta, table.Snap, txn, schema, nil); err != nil {
		t.Fatal(err)
	}
	s, err := txn.Add(adds...).SetTxn(lake.AppID(silver), d.Attempt).ReadAll().Stage(t.Context(), d.Attempt)
	if err != nil {
		t.Fatal(err)
	}
	return lake.StagedRef{Attempt: s.Attempt, SHA256: s.SHA256}
}

func write(t *testing.T, lab *laketest.Lab, table *delta.Table, attempt int64, rows ...string) []delta.Add {
	t.Helper()
	s, err := lab.Engine.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lines := make([]laketest.Row, len(rows))
	for i, r := range rows {
		lines[i] = laketest.Row{r}
	}
	adds, err := s.Write(t.Context(), engine.Target{Store: lab.Lake.Store, Table: table, Schema: schema, Attempt: attempt, Now: lab.Lake.Now()},
		"SELECT * FROM "+laketest.Values([]string{"a"}, lines))
	if err != nil {
		t.Fatal(err)
	}
	return adds
}

// audit passes a staged commit.
func audit(t *testing.T, lab *laketest.Lab, ref lake.StagedRef) {
	t.Helper()
	if err := lab.Open(t, silver).PutVerdict(t.Context(), &lake.Verdict{Table: silver, Attempt: ref.Attempt, Staged: ref.SHA256, Verdict: lake.Passed}); err != nil {
		t.Fatal(err)
	}
}

// step runs the step publish.
func step(t *testing.T, lab *laketest.Lab, ref lake.StagedRef) error {
	t.Helper()
	raw, err := json.Marshal(lake.StagedInput{Table: silver, Staged: ref})
	if err != nil {
		t.Fatal(err)
	}
	_, err = publish.New(lab.Lake, nil).Handle(t.Context(), raw)
	return err
}

// commitOnly publishes as an invocation does that dies before it brings the refused rows to their table.
func commitOnly(t *testing.T, lab *laketest.Lab, ref lake.StagedRef) {
	t.Helper()
	table := lab.Open(t, silver)
	txn, _, err := table.Staged(t.Context(), ref)
	if err == nil {
		_, err = txn.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestForward(t *testing.T) {
	lab := laketest.New(t, openFile)
	commitOnly(t, lab, stage(t, lab, 1, "bad 1", "bad 2"))
	table := lab.Open(t, silver)
	var workers sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		workers.Go(func() {
			for range 2 {
				errs[i] = errors.Join(errs[i], lab.Lake.Forward(t.Context(), table))
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bad 1", "bad 2"}, lab.Rows(t, "silver.refused", -1)); diff != "" {
		t.Fatal(diff)
	}
	if v := lab.At(t, "silver.refused", -1).Version(); v != 0 {
		t.Errorf("version %d, want 0", v)
	}

	// A later decision without refused rows knows that they are in; one with others adds those.
	lab.Publish(t, silver, stage(t, lab, 2))
	lab.Publish(t, silver, stage(t, lab, 3, "bad 3"))
	if diff := cmp.Diff([]string{"bad 1", "bad 2", "bad 3"}, lab.Rows(t, "silver.refused", -1)); diff != "" {
		t.Fatal(diff)
	}

	// A quarantine that lost its rows after that cannot be made good: nobody has their files' names any more.
	lab.Publish(t, silver, stage(t, lab, 4))
	if err := os.RemoveAll(filepath.Join(lab.Root, "silver/refused")); err != nil {
		t.Fatal(err)
	}
	if err := lab.Lake.Forward(t.Context(), lab.Open(t, silver)); fault.KindOf(err) != fault.SourceLost || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestForwardRefusesMissingFiles(t *testing.T) {
	lab := laketest.New(t, openFile)
	commitOnly(t, lab, stage(t, lab, 1, "bad"))
	table := lab.Open(t, silver)
	path := filepath.Join(lab.Root, "silver/refused", table.Decision.Refused.Adds[0].Path)
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if err := lab.Lake.Forward(t.Context(), table); err == nil {
		t.Error("committed a file that was cut off")
	}
	if _, err := lab.Lake.Delta("silver.refused").Snapshot(t.Context(), delta.AsOf{}); !errors.Is(err, delta.ErrNoTable) {
		t.Errorf("got %v", err)
	}
}

// Of two staged commits on one version the first wins; the other is as good as done when the winner read all that it read.
func TestLostRace(t *testing.T) {
	for _, tt := range []struct {
		name         string
		winner, mine int64 // versions of the input
		change       func(d *lake.Decision)
		want         fault.Kind
	}{
		{"the winner read the same", 5, 5, nil, ""},
		{"the winner read more", 6, 5, nil, ""},
		{"the winner read less", 4, 5, nil, fault.Stale},
		{"by another model", 5, 5, func(d *lake.Decision) { d.Model = "other" }, fault.Stale},
		{"of a table made anew", 5, 5, func(d *lake.Decision) { d.Inputs["bronze.x"] = lake.Input{Version: 5, TableID: "c"} }, fault.Stale},
		{"and another table", 5, 5, func(d *lake.Decision) { d.Inputs["silver.y"] = lake.Input{} }, fault.Stale},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab := laketest.New(t, openFile)
			mine, winner := stage(t, lab, tt.mine), stage(t, lab, tt.winner)
			table := lab.Open(t, silver)
			d, err := table.DecisionOf(t.Context(), mine.Attempt)
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(d)
			}
			txn, _, err := table.Staged(t.Context(), mine)
			if err != nil {
				t.Fatal(err)
			}
			lab.Publish(t, silver, winner)
			version, err := table.Publish(t.Context(), txn, d)
			if fault.KindOf(err) != tt.want || version != 0 {
				t.Errorf("version %d, %v", version, err)
			}
			if diff := cmp.Diff([]string{fmt.Sprintf("good %d", winner.Attempt)}, lab.Rows(t, silver, -1)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What was not audited, or is not what was audited, does not get in.
func TestPublishRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef)
		want  string
	}{
		{"no verdict", func(*testing.T, *laketest.Lab, *lake.StagedRef) {}, "no verdict"},
		{"the verdict is on another document", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, lake.StagedRef{Attempt: ref.Attempt, SHA256: strings.Repeat("0", 64)})
		}, "no verdict"},
		{"the verdict is on another attempt", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, lake.StagedRef{Attempt: ref.Attempt + 1, SHA256: ref.SHA256})
		}, "no verdict"},
		{"the gate is closed", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			v := lake.Verdict{Table: silver, Attempt: ref.Attempt, Staged: ref.SHA256, Verdict: lake.Closed}
			if err := lab.Open(t, silver).PutVerdict(t.Context(), &v); err != nil {
				t.Fatal(err)
			}
		}, "the gate is closed"},
		{"the document was changed", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, *ref)
			path := filepath.Join(lab.Root, fmt.Sprintf("silver/x/_lakestep/staged/%d.json", ref.Attempt))
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.Replace(body, []byte(`"WRITE"`), []byte(`"write"`), 1)
			if bytes.Equal(body, changed) {
				t.Fatal("nothing changed")
			}
			if err := os.WriteFile(path, changed, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "changed since it was staged"},
		{"the document is gone", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, *ref)
			must(t, os.Remove(filepath.Join(lab.Root, fmt.Sprintf("silver/x/_lakestep/staged/%d.json", ref.Attempt))))
		}, "not found"},
		{"a data file is gone", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, *ref)
			must(t, os.Remove(onlyFile(t, lab)))
		}, "not found"},
		{"a data file was cut off", func(t *testing.T, lab *laketest.Lab, ref *lake.StagedRef) {
			audit(t, lab, *ref)
			must(t, os.Truncate(onlyFile(t, lab), 20))
		}, "20 bytes in the store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab := laketest.New(t, openFile)
			ref := stage(t, lab, 1)
			tt.spoil(t, lab, &ref)
			if err := step(t, lab, ref); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if lab.Open(t, silver).Exists() {
				t.Error("it was published")
			}
		})
	}
}

func TestPublishTwice(t *testing.T) {
	lab := laketest.New(t, openFile)
	first := stage(t, lab, 1, "bad")
	audit(t, lab, first)
	second := lake.StagedRef{}
	for i := range 3 {
		must(t, step(t, lab, first))
		if i == 1 { // and once more after the next one
			second = stage(t, lab, 2)
			audit(t, lab, second)
			must(t, step(t, lab, second))
		}
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("good %d", first.Attempt), fmt.Sprintf("good %d", second.Attempt)}, lab.Rows(t, silver, -1)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"bad"}, lab.Rows(t, "silver.refused", -1)); diff != "" {
		t.Error(diff)
	}
}

func onlyFile(t *testing.T, lab *laketest.Lab) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(lab.Root, "silver/x/*.parquet"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A check that fails as a whole must not leave the score at 100.
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		c    lake.Check
		want float64
	}{
		{lake.Check{Passed: true}, 1}, {lake.Check{Passed: true, Rows: 4}, 1}, {lake.Check{Rows: 4, Failed: 1}, 0.75},
		{lake.Check{Rows: 4, Message: "too few rows"}, 0}, {lake.Check{}, 0},
	} {
		if got := tt.c.Share(); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.c, got, tt.want)
		}
	}
}
