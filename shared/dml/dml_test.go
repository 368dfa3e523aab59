package dml_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/file"
)

func now() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a table in a folder and a session to change it with.
type rig struct {
	*dml.Table
	t    testing.TB
	root string // the table's folder is root/t
}

func newRig(t testing.TB, schema delta.Schema, partition []string, properties map[string]string) *rig {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 500, Threads: 2, TempDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	session, err := e.Session(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	r := &rig{t: t, root: t.TempDir()}
	st, err := file.New(r.root)
	must(t, err)
	attempt := int64(0)
	r.Table = &dml.Table{
		Delta: delta.Open(st, "t", delta.Options{Now: now, NewID: uuid.NewString, Engine: "test"}), Store: st, Session: session,
		Attempt: func() int64 { attempt++; return attempt }, Now: now,
	}
	_, err = r.Create(t.Context(), schema, partition, properties)
	must(t, err)
	return r
}

func (r *rig) run(op dml.Operation) dml.Result {
	r.t.Helper()
	res, err := r.Run(r.t.Context(), op)
	must(r.t, err)
	return res
}

func (r *rig) snapshot() *delta.Snapshot {
	r.t.Helper()
	s, err := r.Delta.Snapshot(r.t.Context(), delta.AsOf{})
	must(r.t, err)
	return s
}

// rows are the table's rows as text, by a query over it as "t".
func (r *rig) rows(query string) [][]string {
	r.t.Helper()
	s := r.snapshot()
	rel, err := r.Session.Relation(r.t.Context(), engine.NewScan(r.Store, r.Delta, s, engine.Files(s.Files())))
	must(r.t, err)
	rows, err := r.Session.Strings(r.t.Context(), "WITH t AS (SELECT * FROM "+rel+") "+query)
	must(r.t, err)
	return rows
}

func field(name string, t delta.Type) delta.Field {
	return delta.Field{Name: name, Type: t, Nullable: true}
}

func schema(fields ...delta.Field) delta.Schema { return delta.Schema{Fields: fields} }
