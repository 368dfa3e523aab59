package maintenance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// faulties are the operations that TestFaults breaks. All tables begin with four files of ten rows: id from 0, part, x.
func faulties() []faulty {
	const more = "SELECT i AS id, 'p' || (i % 3) AS part, 0.5 AS x FROM range(35, 60) r(i)"
	merge := dml.Merge{Source: more, Keys: []string{"id"}, Matched: []dml.Clause{{When: "s.id = 36", Delete: true}, {}}, NotMatched: []dml.Clause{{}}}
	upsert := dml.Merge{Source: more, Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}}
	modes := map[string]map[string]string{
		"copy on write":    {"delta.enableChangeDataFeed": "true"},
		"deletion vectors": {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "true"},
	}
	var all []faulty
	for mode, properties := range modes {
		all = append(all,
			faulty{name: "delete/" + mode, properties: properties, work: once(dml.Delete{Where: "id % 7 = 3 OR id < 10"})},
			faulty{name: "update/" + mode, properties: properties, work: once(dml.Update{Set: map[string]string{"x": "x + 1"}, Where: "id BETWEEN 5 AND 12"})},
			faulty{name: "merge/" + mode, properties: properties, work: once(merge)},
			faulty{name: "upsert/" + mode, properties: properties, work: run(upsert)},
		)
	}
	return append(all,
		faulty{name: "append", partition: []string{"part"}, work: once(dml.Append{Rows: more})},
		faulty{name: "append column", work: once(dml.Append{Rows: more[:7] + " 'new' AS n," + more[6:], Evolve: dml.Evolution{AddColumns: true}})},
		faulty{name: "append and checkpoint", properties: map[string]string{"delta.checkpointInterval": "5"}, work: once(dml.Append{Rows: more})},
		faulty{name: "overwrite", work: run(dml.Overwrite{Rows: more})},
		faulty{name: "overwrite where", work: run(dml.Overwrite{Rows: more, Where: "id >= 35"})},
		faulty{name: "overwrite partitions", partition: []string{"part"}, work: run(dml.Overwrite{Rows: more, Partitions: true})},
		faulty{name: "checkpoint", work: func(ctx context.Context, t *dml.Table) error { return t.Delta.Checkpoint(ctx, 4) }, left: logFiles},
		faulty{name: "optimize", work: optimized(maintenance.OptimizeOptions{}), left: liveFiles},
		faulty{name: "optimize partitions", partition: []string{"part"}, work: optimized(maintenance.OptimizeOptions{BatchBytes: 1, TargetBytes: 4000}), left: liveFiles},
		faulty{name: "optimize by z-order", work: optimized(maintenance.OptimizeOptions{ZOrder: []string{"x", "id"}}), left: liveFiles},
		faulty{name: "optimize vectors away", properties: modes["deletion vectors"], prepare: deletedHere, work: optimized(maintenance.OptimizeOptions{}), left: liveFiles},
		faulty{name: "restore", prepare: func(r *rig) { must(r.t, run(dml.Delete{Where: "id % 2 = 0"})(r.t.Context(), r.Table)) }, work: restoreTo(3)},
		faulty{name: "clone", properties: modes["deletion vectors"], prepare: deletedHere, work: clone, left: cloneRows, atomic: true},
		faulty{name: "vacuum", properties: modes["deletion vectors"], prepare: garbage, work: vacuumed, left: allFiles},
		faulty{name: "log cleanup", properties: map[string]string{"delta.logRetentionDuration": "interval 1 days"}, prepare: oldLog, work: cleanLog, left: logFiles},
	)
}

func optimized(o maintenance.OptimizeOptions) func(context.Context, *dml.Table) error {
	return func(ctx context.Context, t *dml.Table) error {
		_, err := maintenance.Optimize(ctx, t, o)
		return err
	}
}

func restoreTo(version int64) func(context.Context, *dml.Table) error {
	return func(ctx context.Context, t *dml.Table) error {
		_, err := maintenance.Restore(ctx, t, maintenance.RestoreOptions{To: delta.AsOf{Version: &version}})
		return err
	}
}

func vacuumed(ctx context.Context, t *dml.Table) error {
	_, err := maintenance.Vacuum(ctx, t, maintenance.VacuumOptions{})
	return err
}

func cleanLog(ctx context.Context, t *dml.Table) error {
	_, err := t.Delta.CleanLog(ctx, delta.CleanOptions{})
	return err
}

// lakeURI is how a clone names the objects of the tests' stores, wherever they are.
const lakeURI = "file:///lake/"

func cloneOf(t *dml.Table) *delta.Table {
	return delta.Open(t.Store, "clone", delta.Options{Now: t.Now, NewID: uuid.NewString, Engine: "test", Resolve: func(uri string) (string, bool) {
		return strings.CutPrefix(uri, lakeURI)
	}})
}

// clone makes a shallow clone beside the table; one that is there was made by an attempt whose answer was lost.
func clone(ctx context.Context, t *dml.Table) error {
	to := cloneOf(t)
	if _, err := to.Snapshot(ctx, delta.AsOf{}); err == nil {
		return nil
	}
	version := int64(5) // a listing that lies must not decide which
	_, err := maintenance.Clone(ctx, t, to, maintenance.CloneOptions{At: delta.AsOf{Version: &version}, URI: func(key string) string { return lakeURI + key }})
	return err
}

// cloneRows says what is in the clone, if there is one.
func cloneRows(t *testing.T, r *rig) string {
	table := cloneOf(r.Table)
	s, err := table.Snapshot(t.Context(), delta.AsOf{})
	if errors.Is(err, delta.ErrNoTable) {
		return "none"
	}
	must(t, err)
	relation, err := r.Session.Relation(t.Context(), engine.NewScan(r.Store, table, s, engine.Files(s.Files())))
	must(t, err)
	out, err := r.Session.Strings(t.Context(), "SELECT count(*), CAST(sum(id) AS VARCHAR) FROM "+relation)
	must(t, err)
	return fmt.Sprintf("version %d with rows, sum of id: %s", s.Version(), out)
}

// deletedHere puts deletion vectors on two files.
func deletedHere(r *rig) {
	must(r.t, run(dml.Delete{Where: "id IN (1, 2, 15)"})(r.t.Context(), r.Table))
}

// garbage leaves files behind that a vacuum takes: data, a deletion vector, change data. What the last commit brought is young.
func garbage(r *rig) {
	deletedHere(r)
	must(r.t, run(dml.Overwrite{Rows: "SELECT i AS id, 'p' AS part, 1.5 AS x FROM range(20) r(i)"})(r.t.Context(), r.Table))
	old := map[string]bool{}
	for _, name := range strings.Fields(allFiles(nil, r)) {
		old[name] = true
	}
	*r.clock = r.clock.Add(8 * 24 * time.Hour)
	deletedHere(r)
	r.append("SELECT 100 AS id, 'p' AS part, 2.5 AS x")
	for _, name := range strings.Fields(allFiles(nil, r)) {
		if !old[name] {
			must(r.t, os.Chtimes(filepath.Join(r.root, name), *r.clock, *r.clock))
		}
	}
}

// oldLog makes a log of which a cleanup takes a part.
func oldLog(r *rig) {
	must(r.t, r.Delta.Checkpoint(r.t.Context(), 3))
	*r.clock = r.clock.Add(72 * time.Hour)
	r.append("SELECT 100 AS id, 'p' AS part, 2.5 AS x")
}

// liveFiles says how many files the table has, and how many of them have a deletion vector.
func liveFiles(_ *testing.T, r *rig) string {
	files, vectors := r.snapshot().Files(), 0
	for _, f := range files {
		if f.DeletionVector != nil {
			vectors++
		}
	}
	return fmt.Sprintf("%d files, %d vectors", len(files), vectors)
}

func logFiles(_ *testing.T, r *rig) string { return keys(r, "t/_delta_log/") }

func allFiles(_ *testing.T, r *rig) string { return keys(r, "t/") }

// keys are the keys under a prefix, a line each.
func keys(r *rig, prefix string) string {
	r.t.Helper()
	var b strings.Builder
	for o, err := range r.Store.List(r.t.Context(), prefix, "") {
		must(r.t, err)
		b.WriteString(o.Key + "\n")
	}
	return b.String()
}
