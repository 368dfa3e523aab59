package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func now() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

// rig is an engine with a session, and a lake for tables.
type rig struct {
	*engine.Session
	t      testing.TB
	engine *engine.Engine
	temp   string // the engine's folder
	root   string // the lake's folder
	store  store.Store
	table  *delta.Table
}

func newRig(t testing.TB, o engine.Options) *rig {
	t.Helper()
	r := &rig{t: t, temp: t.TempDir(), root: t.TempDir()}
	o.TempDir = r.temp
	if o.MemoryMB == 0 {
		o.MemoryMB, o.Threads = 1000, 2
	}
	e, err := engine.Open(o)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	r.engine = e
	r.Session, err = e.Session(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = r.Session.Close() })
	r.store, err = file.New(r.root)
	must(t, err)
	r.open("t")
	return r
}

func (r *rig) open(prefix string) {
	r.table = delta.Open(r.store, prefix, delta.Options{Now: now, NewID: uuid.NewString, Engine: "test"})
}

// write writes a query's rows as files of the table.
func (r *rig) write(schema delta.Schema, query string) []delta.Add {
	r.t.Helper()
	adds, err := r.Write(r.t.Context(), engine.Target{Store: r.store, Table: r.table, Schema: schema, Attempt: 7, Now: now()}, query)
	must(r.t, err)
	return adds
}

// commit makes the table of the files.
func (r *rig) commit(schema delta.Schema, adds []delta.Add) {
	r.t.Helper()
	meta, protocol, err := r.table.NewMetadata(schema, nil, nil)
	must(r.t, err)
	_, err = r.table.Empty().Begin(delta.Operation{Name: "WRITE"}).SetMetadata(meta).SetProtocol(protocol).Add(adds...).ReadNothing().Commit(r.t.Context())
	must(r.t, err)
}

func (r *rig) scan(schema delta.Schema, adds []delta.Add) engine.Scan {
	return engine.Scan{Store: r.store, Table: r.table, Schema: schema, Files: engine.Files(adds)}
}

// relation is what reads the files back.
func (r *rig) relation(sc engine.Scan) string {
	r.t.Helper()
	rel, err := r.Relation(r.t.Context(), sc)
	must(r.t, err)
	return rel
}

func (r *rig) strings(query string) [][]string {
	r.t.Helper()
	rows, err := r.Strings(r.t.Context(), query)
	must(r.t, err)
	return rows
}

func (r *rig) exec(query string) {
	r.t.Helper()
	must(r.t, r.Exec(r.t.Context(), query))
}

func (r *rig) describe(query string) delta.Schema {
	r.t.Helper()
	schema, err := r.Describe(r.t.Context(), query)
	must(r.t, err)
	return schema
}

func stats(t testing.TB, a delta.Add) delta.Stats {
	t.Helper()
	s, ok := delta.ParseStats(a.Stats)
	if !ok {
		t.Fatalf("statistics %q", a.Stats)
	}
	return s
}

func number(v any) string {
	switch v := v.(type) {
	case json.Number:
		return string(v)
	case string:
		return v
	}
	return ""
}
