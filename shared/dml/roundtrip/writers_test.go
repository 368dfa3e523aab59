package roundtrip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/tools/oracle"
)

// writer changes a table on disk.
type writer interface {
	create(ctx context.Context, s shape) error
	apply(ctx context.Context, o op, now state) error
}

// ours writes with lakestep.
type ours struct {
	*dml.Table
	path string
}

func openOurs(t testing.TB, e *engine.Engine, root, name string) *ours {
	t.Helper()
	session, err := e.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	st, err := file.New(root)
	if err != nil {
		t.Fatal(err)
	}
	attempt := int64(uuid.New().ID()) << 20
	return &ours{path: filepath.Join(root, name), Table: &dml.Table{
		Delta: delta.Open(st, name, delta.Options{Engine: "lakestep-test"}), Store: st, Session: session,
		Attempt: func() int64 { attempt++; return attempt }, Now: time.Now,
	}}
}

func (w *ours) create(ctx context.Context, s shape) error {
	_, err := w.Create(ctx, s.first, s.partition, s.properties)
	return err
}

func (w *ours) apply(ctx context.Context, o op, now state) error {
	schema := now.schema
	evolve := dml.Evolution{}
	if o.schema.Fields != nil {
		schema, evolve = o.schema, dml.Evolution{AddColumns: true, WidenTypes: true}
	}
	rows := selectRows(schema, o.rows)
	var where string
	if o.where != nil {
		where = o.where.sql(duck)
	}
	var operation dml.Operation
	switch o.kind {
	case "append":
		operation = dml.Append{Rows: rows, Evolve: evolve}
	case "overwrite":
		operation = dml.Overwrite{Rows: rows, Where: where}
	case "overwrite partitions":
		operation = dml.Overwrite{Rows: rows, Partitions: true}
	case "delete":
		operation = dml.Delete{Where: where}
	case "update":
		operation = dml.Update{Set: sets(o.set, duck), Where: where}
	case "merge":
		operation = mergeOf(o, rows)
	case "checkpoint":
		s, err := w.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return err
		}
		return w.Delta.Checkpoint(ctx, s.Version())
	case "optimize", "zorder":
		_, err := maintenance.Optimize(ctx, w.Table, maintenance.OptimizeOptions{ZOrder: o.columns})
		return err
	case "restore":
		_, err := maintenance.Restore(ctx, w.Table, maintenance.RestoreOptions{To: delta.AsOf{Version: &o.version}})
		return err
	case "vacuum":
		_, err := maintenance.Vacuum(ctx, w.Table, maintenance.VacuumOptions{})
		return err
	default:
		return errCannot
	}
	_, err := w.Run(ctx, operation)
	return err
}

var errCannot = errors.New("no such operation here")

func mergeOf(o op, rows string) dml.Merge {
	m := dml.Merge{Source: rows, Keys: []string{"id"}}
	for _, c := range o.clauses {
		out := dml.Clause{Delete: strings.HasSuffix(c.kind, "delete"), Set: sets(c.set, duck)}
		if c.when != nil {
			out.When = c.when.sql(duck)
		}
		switch {
		case c.kind == "insert":
			m.NotMatched = append(m.NotMatched, out)
		case strings.HasPrefix(c.kind, "source_"):
			m.NotMatchedBySource = append(m.NotMatchedBySource, out)
		default:
			m.Matched = append(m.Matched, out)
		}
	}
	return m
}

func sets(set map[string]expr, d dialect) map[string]string {
	out := map[string]string{}
	for c, e := range set {
		out[c] = e.sql(d)
	}
	return out
}

// version is the newest one.
func (w *ours) version(ctx context.Context) (int64, error) {
	s, err := w.Delta.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return 0, err
	}
	return s.Version(), nil
}

// read gives the rows at a version.
func (w *ours) read(ctx context.Context, version int64) (delta.Schema, []row, error) {
	s, err := w.Delta.Snapshot(ctx, delta.AsOf{Version: &version})
	if err != nil {
		return delta.Schema{}, nil, err
	}
	rel, err := w.Session.Relation(ctx, engine.NewScan(w.Store, w.Delta, s, engine.Files(s.Files())))
	if err != nil {
		return delta.Schema{}, nil, err
	}
	rows, err := w.query(ctx, s.Schema(), "SELECT * FROM "+rel)
	return s.Schema(), rows, err
}

func (w *ours) query(ctx context.Context, schema delta.Schema, query string) ([]row, error) {
	found, err := w.Session.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		return nil, err
	}
	var out []row
	for found.Next() {
		values, at := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := found.Scan(at...); err != nil {
			return nil, err
		}
		r := row{}
		for i, c := range columns {
			f, _ := schema.Field(c)
			r[c] = scanned(f.Type, values[i])
		}
		out = append(out, r)
	}
	return out, found.Err()
}

// theirs writes with an oracle.
type theirs struct {
	*oracle.Process
	dialect dialect
	path    string
}

func (w *theirs) call(cmd string, args map[string]any, out any) error {
	args["path"] = w.path
	return w.Call(cmd, args, out)
}

func (w *theirs) create(_ context.Context, s shape) error {
	partition := s.partition
	if partition == nil {
		partition = []string{}
	}
	properties := maps.Clone(s.properties)
	delete(properties, checkProperty)
	if err := w.call("create", map[string]any{"schema": schemaJSON(s.first), "partition": partition, "properties": properties}, nil); err != nil || len(s.checks) == 0 {
		return err
	}
	return w.call("add_constraint", map[string]any{"name": "id_range", "sql": s.properties[checkProperty]}, nil)
}

func (w *theirs) apply(_ context.Context, o op, now state) error {
	args := map[string]any{}
	if o.rows != nil {
		schema := now.schema
		if o.schema.Fields != nil {
			schema = o.schema
			args["evolve"] = true
		}
		args["rows"], args["schema"] = o.rows, schemaJSON(schema)
	}
	if o.where != nil {
		args["where"] = o.where.sql(w.dialect)
	}
	cmd := o.kind
	switch o.kind {
	case "overwrite partitions":
		if w.dialect == datafusion {
			return errCannot
		}
		cmd, args["dynamic"] = "overwrite", true
	case "update":
		args["set"] = quotedSets(o.set, w.dialect)
	case "merge":
		var clauses []map[string]any
		for _, c := range o.clauses {
			out := map[string]any{"kind": c.kind, "set": quotedSets(c.set, w.dialect)}
			if c.when != nil {
				out["when"] = c.when.sql(w.dialect)
			}
			clauses = append(clauses, out)
		}
		args["clauses"], args["on"] = clauses, "t.id = s.id"
	case "zorder":
		cmd, args["zorder"] = "optimize", o.columns
	case "restore":
		args["to"] = o.version
	}
	return w.call(cmd, args, nil)
}

// quotedSets are sets with the columns as their dialect names them; delta-rs wants them bare.
func quotedSets(set map[string]expr, d dialect) map[string]string {
	out := map[string]string{}
	for c, e := range set {
		if d == spark {
			c = d.ident(c)
		}
		out[c] = e.sql(d)
	}
	return out
}

// read gives the rows at the versions.
func (w *theirs) read(versions ...int64) ([][]string, error) {
	var out [][]string
	err := w.call("read", map[string]any{"versions": versions}, &out)
	return out, err
}

// readWhere gives the rows of the newest version that meet each condition.
func (w *theirs) readWhere(wheres []cond) ([][]string, error) {
	var conditions []string
	for _, c := range wheres {
		conditions = append(conditions, c.sql(w.dialect))
	}
	var out [][]string
	err := w.call("read_where", map[string]any{"wheres": conditions}, &out)
	return out, err
}

// changes gives the change data feed of the versions, as the model writes it, by version.
func (w *theirs) changes(first, last int64, s delta.Schema) (map[int64][]change, error) {
	var lines []string
	if err := w.call("changes", map[string]any{"first": first, "last": last}, &lines); err != nil {
		return nil, err
	}
	rows, err := parse(s, lines)
	if err != nil {
		return nil, err
	}
	return byVersion(rows)
}

// changes gives our own change data feed of the versions, by version.
func (w *ours) changes(ctx context.Context, first, last int64, s delta.Schema) (map[int64][]change, error) {
	feed, err := w.Changes(ctx, first, last)
	if err != nil {
		return nil, err
	}
	rows, err := w.query(ctx, s, "SELECT * EXCLUDE ("+dml.CommitTimestamp+") FROM "+feed)
	if err != nil {
		return nil, err
	}
	return byVersion(rows)
}

// byVersion takes the rows of a feed apart.
func byVersion(rows []row) (map[int64][]change, error) {
	out := map[int64][]change{}
	for _, r := range rows {
		version, err := strconv.ParseInt(fmt.Sprint(r[dml.CommitVersion]), 10, 64)
		kind, ok := r[dml.ChangeType].(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("row %s of the feed", r.text())
		}
		delete(r, dml.CommitVersion)
		delete(r, dml.ChangeType)
		out[version] = append(out[version], change{kind, r})
	}
	return out, nil
}
