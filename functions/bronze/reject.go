package bronze

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
)

// rejected is the temporary table of what is no row of the table.
const rejected = "_rejected"

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
	items := []connector.PartFile{{}} // VALUES needs one; no key is empty
	for _, it := range page.Items {
		items = append(items, connector.PartFile{Path: it.Key, Item: it})
	}
	if err := l.session.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT r.key, CAST(r.line AS BIGINT), r.raw_text, r.error, coalesce(i.batch, %s) FROM %s r LEFT JOIN %s i USING (key)",
		rejected, engine.Literal(l.in.Run), rows, l.items(items))); err != nil {
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
	schema.Fields = append(schema.Fields, lake.OwnColumns()[1:]...)
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
