package delta_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	localfile "github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/tools/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m, map[string]processtest.Job{"replay": replay}) }

// replayed is what a process says of the table that it read.
type replayed struct {
	Version int64
	Files   int
}

// replay reads the table under a folder.
func replay(ctx context.Context, argument json.RawMessage) (any, error) {
	var root string
	if err := json.Unmarshal(argument, &root); err != nil {
		return nil, err
	}
	lake, err := localfile.New(root)
	if err != nil {
		return nil, err
	}
	s, err := delta.Open(lake, "t", delta.Options{}).Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return nil, err
	}
	return replayed{s.Version(), len(s.Files())}, nil
}

// logShape says what log writeLog makes: commits that each add and remove so many files.
type logShape struct {
	commits       int
	adds, removes int // of each commit; the first removes none
	columns       int // with statistics
	partitions    int // distinct values of each of two partition columns; 0: not partitioned
}

func (l logShape) files() int { return l.adds + (l.commits-1)*(l.adds-l.removes) }

// writeLog writes commits as Spark does, with names, statistics and commitInfos of realistic length.
// Not through the store, which syncs each file.
func writeLog(t testing.TB, root string, l logShape) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(root, "t/_delta_log"), 0o755))
	next, first := 0, 0 // files first..next-1 are live
	for v := range l.commits {
		f, err := os.Create(filepath.Join(root, fmt.Sprintf("t/_delta_log/%020d.json", v)))
		must(t, err)
		out := bufio.NewWriterSize(f, 1<<20)
		fmt.Fprintf(out, `{"commitInfo":{"timestamp":%d,"operation":"WRITE","operationParameters":{"mode":"Append","partitionBy":"[]"},`+
			`"isolationLevel":"Serializable","isBlindAppend":true,"operationMetrics":{"numFiles":"%d","numOutputRows":"10000","numOutputBytes":"812345"},`+
			`"engineInfo":"Apache-Spark/4.0.1 Delta-Lake/4.0.1","txnId":"6c0f5f8a-95f5-4a39-9a2b-%012d"}}`+"\n", 1_700_000_000_000+v, l.adds, v)
		if v == 0 {
			fmt.Fprintln(out, `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`)
			fmt.Fprintln(out, l.metadata(t))
		}
		for range min(l.removes*v, l.removes) {
			fmt.Fprintf(out, `{"remove":{"path":"%s","deletionTimestamp":%d,"dataChange":true,"extendedFileMetadata":true,"partitionValues":%s,"size":%d}}`+"\n",
				l.path(first), time.Now().UnixMilli(), l.values(first), 100_000+first)
			first++
		}
		for range l.adds {
			fmt.Fprintf(out, `{"add":{"path":"%s","partitionValues":%s,"size":%d,"modificationTime":%d,"dataChange":true,"stats":"%s"}}`+"\n",
				l.path(next), l.values(next), 100_000+next, 1_700_000_000_000+next, l.stats(next))
			next++
		}
		must(t, errors.Join(out.Flush(), f.Close()))
	}
}

func (l logShape) metadata(t testing.TB) string {
	schema, partition := delta.Schema{}, []string{}
	if l.partitions > 0 {
		partition = []string{"day", "region"}
		schema.Fields = append(schema.Fields, delta.Field{Name: "day", Type: delta.String, Nullable: true}, delta.Field{Name: "region", Type: delta.String, Nullable: true})
	}
	for c := range l.columns {
		schema.Fields = append(schema.Fields, delta.Field{Name: fmt.Sprintf("column_%02d", c), Type: delta.String, Nullable: true})
	}
	text, err := schema.JSON()
	must(t, err)
	b, err := json.Marshal(map[string]any{"metaData": delta.Metadata{ID: "9f3c", SchemaString: text, PartitionColumns: partition}})
	must(t, err)
	return string(b)
}

func (l logShape) path(file int) string {
	name := fmt.Sprintf("part-%05d-3f1c9f0e-77a1-4000-8000-%012d-c000.snappy.parquet", file%200, file)
	if l.partitions > 0 {
		return fmt.Sprintf("day=2024-%06d/region=region%%2520%06d/%s", file%l.partitions, file%l.partitions, name)
	}
	return name
}

func (l logShape) values(file int) string {
	if l.partitions == 0 {
		return "{}"
	}
	return fmt.Sprintf(`{"day":"2024-%06d","region":"region %06d"}`, file%l.partitions, file%l.partitions)
}

func (l logShape) stats(file int) string {
	var lo, hi, nulls []string
	for c := range l.columns {
		lo = append(lo, fmt.Sprintf(`\"column_%02d\":\"value %010d\"`, c, file))
		hi = append(hi, fmt.Sprintf(`\"column_%02d\":\"value %010d\"`, c, file+1000))
		nulls = append(nulls, fmt.Sprintf(`\"column_%02d\":%d`, c, file%7))
	}
	return fmt.Sprintf(`{\"numRecords\":10000,\"minValues\":{%s},\"maxValues\":{%s},\"nullCount\":{%s}}`,
		strings.Join(lo, ","), strings.Join(hi, ","), strings.Join(nulls, ","))
}

// TestReplayMemory reads logs of 100,000 live files, each in a process of its own, which may take 500 MB. make test
// reads a tenth, in a tenth and what the program itself takes.
func TestReplayMemory(t *testing.T) {
	scale, limit := 10, int64(100e6)
	if os.Getenv("LAKESTEP_LONG") != "" {
		scale, limit = 1, 500e6
	}
	for _, c := range []struct {
		name       string
		shape      logShape
		checkpoint bool
	}{
		{"one commit", logShape{commits: 1, adds: 100_000, columns: 12}, false},
		{"10,000 commits", logShape{commits: 10_000, adds: 10, columns: 12}, false},
		{"a checkpoint", logShape{commits: 1, adds: 100_000, columns: 12}, true},
		{"partitions", logShape{commits: 10, adds: 10_000, columns: 12, partitions: 1000}, true},
		{"a partition for each file", logShape{commits: 10, adds: 10_000, columns: 12, partitions: 1e9}, true},
		{"tombstones", logShape{commits: 10_000, adds: 40, removes: 30, columns: 12}, false},
		{"a checkpoint with tombstones", logShape{commits: 10_000, adds: 40, removes: 30, columns: 12}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.shape
			if l.commits >= 1000 {
				l.commits /= scale
			} else {
				l.adds /= scale
			}
			root := t.TempDir()
			writeLog(t, root, l)
			if c.checkpoint {
				lake, err := localfile.New(root)
				must(t, err)
				must(t, delta.Open(lake, "t", delta.Options{}).Checkpoint(t.Context(), int64(l.commits-1)))
			}
			var r replayed
			used := processtest.Run(t, "replay", root, &r)
			t.Logf("%d files of %d commits in %v, %d MB", r.Files, r.Version+1, used.Took.Round(time.Millisecond), used.Peak/1e6)
			if r.Files != l.files() || r.Version != int64(l.commits-1) {
				t.Errorf("version %d with %d files, want %d with %d", r.Version, r.Files, l.commits-1, l.files())
			}
			if used.Peak > limit {
				t.Errorf("the replay took %d MB; %d are allowed", used.Peak/1e6, limit/1e6)
			}
		})
	}
}
