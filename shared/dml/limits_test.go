package dml_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/tools/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m, map[string]processtest.Job{"merge": merge}) }

type smallMerge struct {
	Root, Temp, Source string
}

// merge merges rows into the table under a folder, and answers with the metrics.
func merge(ctx context.Context, argument json.RawMessage) (_ any, err error) {
	var j smallMerge
	if err := json.Unmarshal(argument, &j); err != nil {
		return nil, err
	}
	e, err := engine.Open(engine.Options{MemoryMB: processtest.SmallEngineMB, Threads: 2, TempDir: j.Temp})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	session, err := e.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	st, err := file.New(j.Root)
	if err != nil {
		return nil, err
	}
	table := &dml.Table{Delta: delta.Open(st, "t", delta.Options{}), Store: st, Session: session, Attempt: func() int64 { return time.Now().UnixNano() }, Now: time.Now}
	result, err := table.Run(ctx, dml.Merge{Source: j.Source, Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}})
	return result.Metrics, err
}

// TestMergeMemory merges 100,000 rows, half of them updates, into 10 million rows in 8 files, each time in a process
// of its own, which may take 512 MB. make test merges a tenth.
func TestMergeMemory(t *testing.T) {
	rows := 1_000_000
	if os.Getenv("LAKESTEP_LONG") != "" {
		rows = 10_000_000
	}
	source := rows / 100
	for _, vectors := range []bool{false, true} {
		properties := map[string]string{}
		if vectors {
			properties["delta.enableDeletionVectors"] = "true"
		}
		r := newRig(t, schema(field("id", delta.Long), field("name", delta.String), field("amount", delta.Decimal(12, 2)),
			field("at", delta.Timestamp), field("region", delta.String)), nil, properties)
		body := `, 'name of ' || i AS name, (i %% 100000)::DECIMAL(12,2) AS amount, TIMESTAMPTZ '2024-01-01' + to_seconds(i %% 10000000) AS at, 'region ' || (i %% 50) AS region`
		for f := range 8 {
			r.run(dml.Append{Rows: fmt.Sprintf("SELECT i AS id"+body+" FROM range(%d, %d) s(i)", f*rows/8, (f+1)*rows/8)})
		}
		if n := r.snapshot().NumFiles(); n != 8 {
			t.Fatalf("%d files", n)
		}
		total, next := rows, rows // rows, and the id after the last
		for _, c := range []struct{ name, updated string }{
			{"keys in one file", "i"}, {"keys in all files", fmt.Sprintf("i * %d", 2*rows/source)},
		} {
			t.Run(fmt.Sprintf("vectors %v, %s", vectors, c.name), func(t *testing.T) {
				var metrics map[string]int64
				used := processtest.Run(t, "merge", smallMerge{Root: r.root, Temp: t.TempDir(), Source: fmt.Sprintf(
					"SELECT CASE WHEN i < %d THEN %s ELSE %d + i END AS id"+body+" FROM range(%d) s(i)", source/2, c.updated, next, source)}, &metrics, processtest.SmallGo)
				t.Logf("%v, %d MB, %v", used.Took.Round(time.Millisecond), used.Peak>>20, metrics)
				if used.Peak > processtest.SmallBytes {
					t.Errorf("the merge took %d MB; %d are allowed", used.Peak>>20, processtest.SmallBytes>>20)
				}
				if u, i := metrics["numTargetRowsUpdated"], metrics["numTargetRowsInserted"]; u != int64(source/2) || i != int64(source-source/2) {
					t.Errorf("%d rows updated and %d inserted, want half of %d each", u, i, source)
				}
				total, next = total+source/2, next+source
				if got, want := fmt.Sprint(r.rows("SELECT count(*), count(DISTINCT id) FROM t")[0]), fmt.Sprint([]int{total, total}); got != want {
					t.Errorf("%s rows and ids, want %s", got, want)
				}
			})
		}
	}
}
