// Package laketest is a lake in a temporary folder for the tests of what stands on package lake: raw tables filled row by row, a pipeline
// from texts, models run and published, tables read back as text. Time and attempts count up, so that a test repeats exactly.
package laketest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
)

// TB is what testing.T and rapid.T have in common.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Lab is a lake and an engine.
type Lab struct {
	Lake   *lake.Lake
	Engine *engine.Engine
	Root   string // folder of the lake

	open     func(root string) (store.Store, error)
	base     string
	lakes    int
	attempts atomic.Int64
	ticks    atomic.Int64
}

// New makes an empty lake; open gives the store of a folder.
func New(t testing.TB, open func(root string) (store.Store, error)) *Lab {
	t.Helper()
	base := t.TempDir()
	e, err := engine.Open(engine.Options{MemoryMB: 512, Threads: 2, TempDir: filepath.Join(base, "tmp")})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	l := &Lab{Engine: e, open: open, base: base}
	l.Reset(t)
	return l
}

// Reset leaves the lake for a new empty one.
func (l *Lab) Reset(t TB) {
	t.Helper()
	l.lakes++
	l.Root = filepath.Join(l.base, fmt.Sprintf("lake%d", l.lakes))
	s, err := l.open(l.Root)
	if err != nil {
		t.Fatalf("%v", err)
	}
	l.Use(s)
}

// Drop removes the lake's files, where many lakes would fill the disk.
func (l *Lab) Drop(t TB) {
	t.Helper()
	if err := os.RemoveAll(l.Root); err != nil {
		t.Fatalf("%v", err)
	}
}

// Use puts the lake on another store: the same folder behind a decorator.
func (l *Lab) Use(s store.Store) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.Lake = lake.New(lake.Options{
		Store:      s,
		Now:        func() time.Time { return start.Add(time.Duration(l.ticks.Add(1)) * time.Second) },
		NewAttempt: func() int64 { return l.attempts.Add(1) },
		NewID:      func() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", l.ticks.Add(1)) },
		Version:    "test",
	})
}

// Pipeline loads a pipeline from its files by name; they must be right.
func Pipeline(t TB, files map[string]string) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.Load(pipeline.Bundle{Root: pipeline.RootFile, Files: files})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

// Row is one row of texts; nil is NULL.
type Row []any

// Values is a relation of rows of texts.
func Values(columns []string, rows []Row) string {
	if len(rows) == 0 {
		nulls := make([]string, len(columns))
		for i, c := range columns {
			nulls[i] = "CAST(NULL AS VARCHAR) AS " + engine.Ident(c)
		}
		return "(SELECT " + strings.Join(nulls, ", ") + " WHERE false)"
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		cells := make([]string, len(r))
		for j, v := range r {
			cells[j] = "CAST(NULL AS VARCHAR)"
			if v != nil {
				cells[j] = engine.Literal(fmt.Sprint(v))
			}
		}
		lines[i] = "(" + strings.Join(cells, ", ") + ")"
	}
	return "(SELECT * FROM (VALUES " + strings.Join(lines, ", ") + ") v(" + engine.Idents(columns) + "))"
}

// Append adds rows to a raw table as the bronze step does: texts, decision and cursor in the same commit. Columns that the table lacks are added.
func (l *Lab) Append(t TB, table string, columns []string, rows ...Row) {
	t.Helper()
	if err := l.append(context.Background(), table, columns, rows); err != nil {
		t.Fatalf("append to %s: %v", table, err)
	}
}

func (l *Lab) append(ctx context.Context, name string, columns []string, rows []Row) error {
	table, err := l.Lake.Open(ctx, name)
	if err != nil {
		return err
	}
	var schema delta.Schema
	for _, c := range columns {
		schema.Fields = append(schema.Fields, delta.Field{Name: c, Type: delta.String, Nullable: true})
	}
	s, err := l.Engine.Session(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	d := table.Next("load", l.Lake.NewAttempt())
	d.Counts = lake.Counts{Read: int64(len(rows)), Accepted: int64(len(rows))}
	adds, err := s.Write(ctx, engine.Target{Store: l.Lake.Store, Table: table.Delta, Schema: schema, Attempt: d.Attempt, Now: l.Lake.Now()},
		"SELECT * FROM "+Values(columns, rows))
	if err != nil {
		return err
	}
	if err := table.Save(ctx, d); err != nil {
		return err
	}
	txn := table.Snap.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Attempt: d.Attempt})
	if err := lake.Evolve(table.Delta, table.Snap, txn, schema, nil); err != nil {
		return err
	}
	_, err = txn.Add(adds...).SetTxn(lake.AppID(name), d.Attempt).ReadNothing().Commit(ctx)
	return err
}

// Open gives a table as it is.
func (l *Lab) Open(t TB, name string) *lake.Table {
	t.Helper()
	table, err := l.Lake.Open(context.Background(), name)
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	return table
}

// Publish commits a staged commit without an audit, and brings its refused rows to their table.
func (l *Lab) Publish(t TB, name string, ref lake.StagedRef) {
	t.Helper()
	ctx := context.Background()
	table := l.Open(t, name)
	txn, _, err := table.Staged(ctx, ref)
	if err != nil {
		t.Fatalf("staged %s: %v", name, err)
	}
	d, err := table.DecisionOf(ctx, ref.Attempt)
	if err != nil {
		t.Fatalf("decision of %s: %v", name, err)
	}
	if _, err := table.Publish(ctx, txn, d); err != nil {
		t.Fatalf("publish %s: %v", name, err)
	}
	if err := l.Lake.Forward(ctx, l.Open(t, name)); err != nil {
		t.Fatalf("forward %s: %v", name, err)
	}
}

// At is a table's snapshot at a version; -1 is the newest.
func (l *Lab) At(t TB, name string, version int64) *delta.Snapshot {
	t.Helper()
	at := delta.AsOf{}
	if version >= 0 {
		at.Version = &version
	}
	snap, err := l.Lake.Delta(name).Snapshot(context.Background(), at)
	if err != nil {
		t.Fatalf("%s at %d: %v", name, version, err)
	}
	return snap
}

// Rows are all rows of a table at a version (-1: the newest), sorted; each a line of "a|b|c", NULL as "NULL". Columns: all, when none is named.
func (l *Lab) Rows(t TB, name string, version int64, columns ...string) []string {
	t.Helper()
	snap := l.At(t, name, version)
	table := &lake.Table{Name: name, Delta: l.Lake.Delta(name), Snap: snap}
	sc := engine.NewScan(l.Lake.Store, table.Delta, snap, engine.Files(snap.Files()))
	return l.Scan(t, sc, columns...)
}

// Scan reads a scan as Rows does.
func (l *Lab) Scan(t TB, sc engine.Scan, columns ...string) []string {
	t.Helper()
	ctx := context.Background()
	s, err := l.Engine.Session(ctx)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer s.Close()
	relation, err := s.Relation(ctx, sc)
	if err != nil {
		t.Fatalf("%v", err)
	}
	what := "*"
	if len(columns) > 0 {
		what = engine.Idents(columns)
	}
	sample, err := s.Sample(ctx, "SELECT "+what+" FROM "+relation, 1<<30)
	if err != nil {
		t.Fatalf("%v", err)
	}
	out := make([]string, 0, len(sample))
	for _, cells := range sample[1:] {
		out = append(out, strings.Join(cells, "|"))
	}
	slices.Sort(out)
	return out
}
