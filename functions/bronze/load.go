package bronze

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// loader is one page on its way into the raw table.
type loader struct {
	Options
	in       Input
	declare  *pipeline.Table
	stream   pipeline.Stream
	again    again
	table    *lake.Table
	session  *engine.Session
	dir      string
	attempt  int64
	at       time.Time // when the page was taken
	accepted []delta.Add
	known    int64        // rows of the page that the table has
	schema   delta.Schema // of the table, with the columns that the page adds
}

// write makes data files of a page, and the decision on it.
func (l *loader) write(ctx context.Context, page connector.Page) (*lake.Decision, error) {
	if err := l.session.Exec(ctx, "CREATE TEMP TABLE "+rejected+" (file VARCHAR, line BIGINT, raw_text VARCHAR, error VARCHAR, _batch_id VARCHAR)"); err != nil {
		return nil, err
	}
	l.schema.Fields = lake.RawColumns(l.declare, l.stream)
	if l.table.Exists() {
		l.schema = l.table.Snap.Schema()
	}
	for _, part := range page.Parts {
		if err := l.part(ctx, part, page.Overlap); err != nil {
			return nil, err
		}
	}
	if err := l.bad(ctx, page); err != nil {
		return nil, err
	}
	if page.Verify != nil {
		if err := page.Verify(ctx); err != nil {
			return nil, err
		}
	}
	return l.decide(ctx, page)
}

// decide says what became of the page's rows.
func (l *loader) decide(ctx context.Context, page connector.Page) (*lake.Decision, error) {
	d := l.table.Next(l.in.Run, l.attempt)
	d.Items, d.Again, d.Fresh = page.Items, l.again.first, l.again.fresh
	if d.Fresh {
		d.Cursor = nil
	}
	if page.Cursor != nil {
		d.Cursor = page.Cursor
	}
	var err error
	if d.Counts.Accepted, err = count(l.accepted); err != nil {
		return nil, err
	}
	d.Counts.Stale = l.known
	if err := l.refuse(ctx, d); err != nil {
		return nil, err
	}
	d.Counts.Read = d.Counts.Accepted + d.Counts.Stale + d.Counts.Quarantined
	return d, nil
}

// part loads files of one set of columns.
func (l *loader) part(ctx context.Context, part connector.Part, overlap *connector.Overlap) error {
	rows, rejects, columns, err := l.open(ctx, part)
	if err != nil {
		return err
	}
	items := l.items(part.Files)
	fit, err := l.fit(ctx, rows, columns)
	if err != nil {
		return err
	}
	refused, err := l.discard(ctx, rows, items, fit)
	if err != nil {
		return err
	}
	query := l.query(fit, rows, items)
	var known int64
	if overlap != nil && l.table.Exists() {
		if query, known, err = l.unknown(ctx, query, *overlap); err != nil {
			return err
		}
		l.known += known
	}
	adds, err := l.session.Write(ctx, l.target(l.table.Delta, l.schema), query)
	if err != nil {
		return damaged(part, err)
	}
	l.accepted = append(l.accepted, adds...)
	unsplit := int64(0)
	if rejects != "" {
		if err := l.session.Row(ctx, "SELECT count(*) FROM "+rejects, &unsplit); err != nil {
			return err
		}
		if err := l.session.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT i.key, r.line, r.raw_text, r.error, i.batch FROM %s r JOIN %s i USING (path)", rejected, rejects, items)); err != nil {
			return err
		}
	}
	return balance(part, adds, unsplit+refused+known)
}

// damaged names the files of a part that the engine could not read: a Parquet file may be damaged behind a good footer.
func damaged(part connector.Part, err error) error {
	kind := fault.KindOf(err)
	ours := !part.Parquet || part.Files[0].Item.SHA256 == "" // text, or a spool
	if ours || kind != fault.Internal && kind != fault.InvalidInput || fault.HintOf(err) != "" {
		return err
	}
	names := make([]string, len(part.Files))
	for i, f := range part.Files {
		names[i] = f.Item.Key
	}
	return fault.New(fault.InvalidInput, "load", strings.Join(names, ", "), "%w", err).WithHint("the file's pages are damaged: land it anew, or take it away, and run again")
}

// open makes a relation of a part's rows, which may be looked at more than once.
func (l *loader) open(ctx context.Context, part connector.Part) (rows, rejects string, columns []engine.RawColumn, err error) {
	rows, rejects, columns, err = lake.PartRows(ctx, l.session, part)
	if err == nil && !part.Parquet && l.looksTwice() { // a second scan would count the lines that cannot be split again
		once := fmt.Sprintf("_text_%d", len(l.accepted))
		err = l.session.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE TEMP TABLE %s AS SELECT * FROM %s", once, rows))
		rows = once
	}
	return rows, rejects, columns, err
}

// looksTwice tells whether values must be looked at before they are written: for a contract, or for columns that are not text.
func (l *loader) looksTwice() bool {
	return l.stream.Contract != pipeline.SchemaContract{Columns: pipeline.Evolve, DataType: pipeline.Evolve} ||
		slices.ContainsFunc(l.schema.Fields, func(f delta.Field) bool {
			return !isOwn(f.Name) && f.Type != delta.Type(delta.String)
		})
}

// balance holds the engine to the number of rows that the connector counted: a reader of delimited text that loses its place does not say so.
func balance(part connector.Part, adds []delta.Add, elsewhere int64) error {
	var want int64
	for _, f := range part.Files {
		want += f.Rows
	}
	got, err := count(adds)
	if err != nil {
		return err
	}
	if got += elsewhere; got != want {
		return fault.New(fault.Internal, "load", part.Files[0].Item.Key, "the engine found %d rows in %d files that hold %d", got, len(part.Files), want)
	}
	return nil
}

// count is the number of rows of files that were just written.
func count(adds []delta.Add) (n int64, err error) {
	for _, a := range adds {
		stats, ok := delta.ParseStats(a.Stats)
		if !ok {
			return 0, fault.New(fault.Internal, "load", a.Path, "a data file without statistics")
		}
		n += stats.NumRecords
	}
	return n, nil
}

// query gives the table's columns for the rows of a part: those that it lacks are NULL.
func (l *loader) query(fit fitted, rows, items string) string {
	var selected []string
	for _, f := range l.schema.Fields {
		switch expr, ok := fit.values[f.Name]; {
		case isOwn(f.Name):
		case ok:
			selected = append(selected, expr+" AS "+engine.Ident(f.Name))
		default:
			selected = append(selected, "NULL AS "+engine.Ident(f.Name))
		}
	}
	selected = append(selected, "i.file AS _source_file", l.now()+" AS _ingested_at", "i.batch AS _batch_id")
	where := ""
	if len(fit.refuse) > 0 {
		where = " WHERE NOT (" + fit.refused() + ")"
	}
	return fmt.Sprintf("SELECT %s FROM %s r JOIN %s i ON r._path = i.path%s", strings.Join(selected, ", "), rows, items, where)
}

// now is the time of the page: rows that came together have one _ingested_at.
func (l *loader) now() string {
	return "TIMESTAMPTZ " + engine.Literal(l.at.UTC().Format("2006-01-02 15:04:05.000000+00"))
}

func (l *loader) target(t *delta.Table, schema delta.Schema) engine.Target {
	return engine.Target{Store: l.Lake.Store, Table: t, Schema: schema, Attempt: l.attempt, Now: l.at}
}

// grow adds columns to the table's schema. A new table has the declared columns, what the source brings, and lakestep's own.
func (l *loader) grow(fields []delta.Field) error {
	schema, _, err := lake.Widen(l.schema, delta.Schema{Fields: slices.Concat(fields, lake.OwnColumns())})
	if err == nil {
		l.schema = schema
	}
	return err
}

// items is a relation that gives each local file its item: path, key, file (base name), batch.
func (l *loader) items(files []connector.PartFile) string {
	rows := make([]string, len(files))
	for i, f := range files {
		batch := f.Item.Batch
		if batch == "" {
			batch = l.in.Run
		}
		rows[i] = fmt.Sprintf("(%s, %s, %s, %s)", engine.Literal(f.Path), engine.Literal(f.Item.Key), engine.Literal(path.Base(f.Item.Key)), engine.Literal(batch))
	}
	return "(SELECT * FROM (VALUES " + strings.Join(rows, ", ") + ") v(path, key, file, batch))"
}

// isOwn tells whether a column is lakestep's, not the source's.
func isOwn(name string) bool {
	return slices.ContainsFunc(lake.OwnColumns(), func(f delta.Field) bool { return f.Name == name })
}
