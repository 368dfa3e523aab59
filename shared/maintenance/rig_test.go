package maintenance_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
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

// rig is a table in a folder and a session to change it with. Its clock stands still until a test moves it.
type rig struct {
	*dml.Table
	t     testing.TB
	root  string // the table's folder is root/t
	clock *time.Time

	engine *engine.Engine
}

func newRig(t testing.TB, partition []string, properties map[string]string, columns ...any) *rig {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 500, Threads: 2, TempDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	session, err := e.Session(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	now := time.Now().UTC()
	r := &rig{t: t, root: t.TempDir(), clock: &now, engine: e}
	st, err := file.New(r.root)
	must(t, err)
	attempt := int64(0)
	r.Table = &dml.Table{Session: session, Attempt: func() int64 { attempt++; return attempt }, Now: func() time.Time { return *r.clock }}
	r.use(st)
	var schema delta.Schema
	for i := 0; i < len(columns); i += 2 {
		schema.Fields = append(schema.Fields, delta.Field{Name: columns[i].(string), Type: columns[i+1].(delta.Type), Nullable: true})
	}
	_, err = r.Create(t.Context(), schema, partition, properties)
	must(t, err)
	return r
}

// use puts the table on another store: the same folder behind a decorator.
func (r *rig) use(st store.Store) {
	r.Store = st
	r.Delta = delta.Open(st, "t", delta.Options{Now: r.Now, NewID: uuid.NewString, Engine: "test"})
}

// append adds rows, cast to the table's types.
func (r *rig) append(query string) {
	r.t.Helper()
	var columns []string
	for _, f := range r.snapshot().Schema().Fields {
		duck, err := engine.DuckType(f.Type)
		must(r.t, err)
		columns = append(columns, fmt.Sprintf("CAST(%s AS %s) AS %s", engine.Ident(f.Name), duck, engine.Ident(f.Name)))
	}
	_, err := r.Run(r.t.Context(), dml.Append{Rows: "SELECT " + strings.Join(columns, ", ") + " FROM (" + query + ")"})
	must(r.t, err)
}

// appendTo adds rows to one partition.
func (r *rig) appendTo(values map[string]*string, query string) {
	r.t.Helper()
	snap := r.snapshot()
	schema := delta.Schema{}
	for _, f := range snap.Schema().Fields {
		if _, ok := values[f.Name]; !ok {
			schema.Fields = append(schema.Fields, f)
		}
	}
	adds, err := r.Session.Write(r.t.Context(), engine.Target{Store: r.Store, Table: r.Delta, Schema: schema, Attempt: r.Attempt(), Now: r.Now()}, query)
	must(r.t, err)
	for i := range adds {
		adds[i].PartitionValues = values
	}
	_, err = snap.Begin(delta.Operation{Name: "WRITE"}).Add(adds...).ReadNothing().Commit(r.t.Context())
	must(r.t, err)
}

func (r *rig) snapshot() *delta.Snapshot {
	r.t.Helper()
	s, err := r.Delta.Snapshot(r.t.Context(), delta.AsOf{})
	must(r.t, err)
	return s
}

func (r *rig) relation(files []delta.Add) string {
	r.t.Helper()
	snap := r.snapshot()
	rel, err := r.Session.Relation(r.t.Context(), engine.NewScan(r.Store, r.Delta, snap, engine.Files(files)))
	must(r.t, err)
	return rel
}

// rows are the rows of a query over the table as "t", as text.
func (r *rig) rows(query string) string {
	r.t.Helper()
	out, err := r.Session.Strings(r.t.Context(), "WITH t AS (SELECT * FROM "+r.relation(r.snapshot().Files())+") "+query)
	must(r.t, err)
	return fmt.Sprint(out)
}

// digest is a number that two tables of the same rows share.
func (r *rig) digest() string {
	r.t.Helper()
	return r.rows("SELECT count(*), bit_xor(hash(t)), CAST(sum(hash(t)) AS VARCHAR) FROM t")
}

func targetOf(r *rig) engine.Target {
	return engine.Target{Store: r.Store, Table: r.Delta, Schema: r.snapshot().Schema(), Attempt: r.Attempt(), Now: r.Now()}
}

// during is the rig's table with something that happens when an operation is about to commit: at each number of an attempt that it draws.
func during(r *rig, happens func()) *dml.Table {
	t := *r.Table
	t.Attempt = func() int64 { n := r.Attempt(); happens(); return n }
	return &t
}

// listed is a store in which something happens after the table's folder was listed ("list"), or swept ("sweep").
type listed struct {
	store.Store
	happens func(what string)
}

func (l listed) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range l.Store.List(ctx, prefix, after) {
			if !yield(o, err) {
				return
			}
		}
		if prefix == "t/" {
			l.happens("list")
		}
	}
}

func (l listed) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	l.happens("sweep")
	return store.Sweep(ctx, l.Store, prefix, before)
}

func (l listed) Path(key string) (string, error) { return l.Store.(store.Local).Path(key) }
