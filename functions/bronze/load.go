package bronze

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
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
	table    *lake.Table
	session  *engine.Session
	dir      string
	attempt  int64
	at       time.Time // when the page was taken
	accepted []delta.Add
	schema   delta.Schema // of the table, with the columns that the page adds
}

// rejected is the temporary table of lines that hold no row.
const rejected = "_rejected"

// write makes data files of a page, and the decision on it.
func (l *loader) write(ctx context.Context, page connector.Page) (*lake.Decision, error) {
	if err := l.session.Exec(ctx, "CREATE TEMP TABLE "+rejected+" (file VARCHAR, line BIGINT, raw_text VARCHAR, error VARCHAR, _batch_id VARCHAR)"); err != nil {
		return nil, err
	}
	if l.table.Exists() {
		l.schema = l.table.Snap.Schema()
	}
	for _, part := range page.Parts {
		if err := l.part(ctx, part); err != nil {
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
	d := l.table.Next(l.in.Run, l.attempt)
	d.Items = page.Items
	for _, a := range l.accepted {
		n, err := rows(a)
		if err != nil {
			return nil, err
		}
		d.Counts.Accepted += n
	}
	if err := l.refuse(ctx, d); err != nil {
		return nil, err
	}
	d.Counts.Read = d.Counts.Accepted + d.Counts.Quarantined
	return d, nil
}

// part loads files of one header.
func (l *loader) part(ctx context.Context, part connector.Part) error {
	columns := l.spelled(part.Columns)
	stored := slices.DeleteFunc(slices.Clone(columns), isOwn)
	if err := l.grow(stored); err != nil {
		return err
	}
	paths := make([]string, len(part.Files))
	for i, f := range part.Files {
		paths[i] = f.Path
	}
	rows, rejects := l.session.CSV(engine.CSV{Paths: paths, Columns: columns, Header: part.Header, Delimiter: part.Delimiter, EmptyText: part.EmptyText, CRLF: part.CRLF, LineBreaks: part.LineBreaks})
	adds, err := l.session.Write(ctx, l.target(l.table.Delta, l.schema), l.query(stored, rows, l.items(part.Files)))
	if err != nil {
		return err
	}
	l.accepted = append(l.accepted, adds...)
	if err := l.session.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT i.key, r.line, r.raw_text, r.error, i.batch FROM %s r JOIN %s i USING (path)", rejected, rejects, l.items(part.Files))); err != nil {
		return err
	}
	return l.balance(ctx, part, adds, rejects)
}

// balance holds the engine to the number of rows that the connector counted: a reader of delimited text that loses its place does not say so.
func (l *loader) balance(ctx context.Context, part connector.Part, adds []delta.Add, rejects string) error {
	var want, got int64
	if err := l.session.Row(ctx, "SELECT count(*) FROM "+rejects, &got); err != nil {
		return err
	}
	for _, f := range part.Files {
		want += f.Rows
	}
	for _, a := range adds {
		n, err := rows(a)
		if err != nil {
			return err
		}
		got += n
	}
	if got != want {
		return fault.New(fault.Internal, "load", part.Files[0].Item.Key, "the engine found %d rows in %d files that hold %d", got, len(part.Files), want)
	}
	return nil
}

// rows is the number of rows of a file that was just written.
func rows(a delta.Add) (int64, error) {
	stats, ok := delta.ParseStats(a.Stats)
	if !ok {
		return 0, fault.New(fault.Internal, "load", a.Path, "a data file without statistics")
	}
	return stats.NumRecords, nil
}

// query gives the table's columns for the rows of a part: those that it lacks are NULL.
func (l *loader) query(stored []string, rows, items string) string {
	selected := make([]string, len(stored))
	for i, c := range stored {
		selected[i] = "r." + engine.Ident(c)
	}
	for _, f := range l.schema.Fields {
		if !slices.Contains(stored, f.Name) && !isOwn(f.Name) {
			selected = append(selected, "NULL AS "+engine.Ident(f.Name))
		}
	}
	return fmt.Sprintf("SELECT %s, i.file AS _source_file, %s AS _ingested_at, i.batch AS _batch_id FROM %s r JOIN %s i ON r._path = i.path",
		strings.Join(selected, ", "), l.now(), rows, items)
}

// now is the time of the page: rows that came together have one _ingested_at.
func (l *loader) now() string {
	return "TIMESTAMPTZ " + engine.Literal(l.at.UTC().Format("2006-01-02 15:04:05.000000+00"))
}

func (l *loader) target(t *delta.Table, schema delta.Schema) engine.Target {
	return engine.Target{Store: l.Lake.Store, Table: t, Schema: schema, Attempt: l.attempt, Now: l.at}
}

// spelled gives columns in the table's spelling: names of a Delta table may not differ in case only.
func (l *loader) spelled(columns []string) []string {
	out := slices.Clone(columns)
	known := append(textFields(l.declare.Columns), l.schema.Fields...)
	for i, c := range out {
		for _, f := range known {
			if strings.EqualFold(f.Name, c) {
				out[i] = f.Name
			}
		}
	}
	return out
}

// grow adds columns to the table's schema, which begins with the declared ones.
func (l *loader) grow(columns []string) error {
	fields := textFields(columns)
	if len(l.schema.Fields) == 0 {
		l.schema.Fields = textFields(l.declare.Columns)
		fields = append(fields, metaFields()...)
	}
	schema, _, err := lake.Widen(l.schema, delta.Schema{Fields: fields})
	l.schema = schema
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

// bad adds what the connector could not read to the rejected lines.
func (l *loader) bad(ctx context.Context, page connector.Page) error {
	files := slices.Clone(page.BadFiles)
	if len(page.Bad) > 0 {
		file := filepath.Join(l.dir, "bad-items.csv")
		if err := writeBad(file, page.Bad); err != nil {
			return fault.New(fault.Internal, "load", l.in.Table, "%w", err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil
	}
	rows, lost := l.session.CSV(engine.CSV{Paths: files, Columns: []string{"key", "line", "raw_text", "error"}, LineBreaks: true})
	items := make([]connector.PartFile, len(page.Items))
	for i, it := range page.Items {
		items[i] = connector.PartFile{Path: it.Key, Item: it}
	}
	if err := l.session.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT r.key, CAST(r.line AS BIGINT), r.raw_text, r.error, i.batch FROM %s r JOIN %s i USING (key)", rejected, rows, l.items(items))); err != nil {
		return err
	}
	var n int64
	if err := l.session.Row(ctx, "SELECT count(*) FROM "+lost, &n); err != nil || n == 0 {
		return err
	}
	return fault.New(fault.Internal, "load", l.in.Table, "%d rejected lines could not be kept", n)
}

func writeBad(file string, bad []connector.Bad) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	for _, b := range bad {
		if err := w.Write([]string{b.Key, strconv.FormatInt(b.Line, 10), strings.ToValidUTF8(b.Text, "\uFFFD"), b.Error}); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}

// refuse writes the rejected lines as files of the table of rejected rows.
func (l *loader) refuse(ctx context.Context, d *lake.Decision) error {
	var n int64
	if err := l.session.Row(ctx, "SELECT count(*) FROM "+rejected, &n); err != nil || n == 0 {
		return err
	}
	schema := delta.Schema{Fields: textFields([]string{"stream", "file"})}
	schema.Fields = append(schema.Fields, delta.Field{Name: "line", Type: delta.Long, Nullable: true})
	schema.Fields = append(schema.Fields, textFields([]string{"raw_text", "error"})...)
	schema.Fields = append(schema.Fields, metaFields()[1:]...)
	adds, err := l.session.Write(ctx, l.target(l.Lake.Delta(lake.RejectedTable), schema), fmt.Sprintf("SELECT %s AS stream, *, %s AS _ingested_at FROM %s",
		engine.Literal(l.declare.Stream), l.now(), rejected))
	d.Counts.Quarantined = n
	d.Refused = &lake.Refused{Attempt: l.attempt, Table: lake.RejectedTable, Schema: schema, Adds: adds, Rows: n}
	return err
}

func textFields(names []string) []delta.Field {
	out := make([]delta.Field, len(names))
	for i, n := range names {
		out[i] = delta.Field{Name: n, Type: delta.String, Nullable: true}
	}
	return out
}

// metaFields are the columns that every raw table has behind its own.
func metaFields() []delta.Field {
	return []delta.Field{
		{Name: "_source_file", Type: delta.String, Nullable: true},
		{Name: "_ingested_at", Type: delta.Timestamp, Nullable: true},
		{Name: "_batch_id", Type: delta.String, Nullable: true},
	}
}

// isOwn tells whether a column is lakestep's or the connector's, not the source's.
func isOwn(name string) bool { return strings.HasPrefix(name, "_") }
