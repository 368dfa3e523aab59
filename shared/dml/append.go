package dml

import (
	"context"
	"encoding/json"

	"github.com/lakestep/lakestep/shared/delta"
)

// Append adds rows.
type Append struct {
	Rows   string // SELECT; its columns are taken by name
	Evolve Evolution
}

func (a Append) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	adds, err := t.Session.Write(ctx, t.target(snap.Metadata(), snap.Schema()), a.Rows)
	if err != nil {
		return nil, err
	}
	return &Plan{Blind: true, Adds: adds, Operation: delta.Operation{
		Name: "WRITE", Parameters: map[string]any{"mode": "Append", "partitionBy": partitionBy(snap)}, Metrics: written(adds),
	}}, nil
}

// Overwrite replaces rows: all of the table's, those of a condition, or those of the partitions that the new rows are in.
type Overwrite struct {
	Rows       string // SELECT; its columns are taken by name
	Where      string // SQL condition: only rows for which it is true are replaced, and all new rows must be such
	Partitions bool   // only the partitions of the new rows are replaced
	Evolve     Evolution
}

func (o Overwrite) plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error) {
	adds, err := t.Session.Write(ctx, t.target(snap.Metadata(), snap.Schema()), o.Rows)
	if err != nil {
		return nil, err
	}
	return &Plan{Adds: adds, Removes: snap.Files(), Operation: delta.Operation{
		Name: "WRITE", Parameters: map[string]any{"mode": "Overwrite", "partitionBy": partitionBy(snap)}, Metrics: written(adds),
	}}, nil
}

// partitionBy is the operation parameter of that name: JSON in a string, as Spark writes it.
func partitionBy(snap *delta.Snapshot) string {
	return jsonText(snap.Metadata().PartitionColumns)
}

// written are the metrics of files written.
func written(adds []delta.Add) map[string]int64 {
	m := map[string]int64{"numFiles": int64(len(adds)), "numOutputRows": 0, "numOutputBytes": 0}
	for _, a := range adds {
		rows, _ := numRows(a)
		m["numOutputRows"] += rows
		m["numOutputBytes"] += a.Size
	}
	return m
}

// numRows is the number of a file's rows, deleted ones included, where its writer said it.
func numRows(a delta.Add) (int64, bool) {
	stats, ok := delta.ParseStats(a.Stats)
	return stats.NumRecords, ok
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts and lists of them only
	}
	return string(b)
}
