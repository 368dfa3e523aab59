package delta_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// ok ends an example at an error.
func ok(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// exampleTable is a table of events by country, with three files: nl and de in version 1, nl in version 2.
func exampleTable(ctx context.Context) *delta.Table {
	lake := mem.New()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lake.Now = func() time.Time { clock = clock.Add(time.Hour); return clock }
	table := delta.Open(lake, "events", delta.Options{Engine: "example"})
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "id", Type: delta.Long, Nullable: true},
		{Name: "country", Type: delta.String, Nullable: true},
	}}
	metadata, protocol, err := table.NewMetadata(schema, []string{"country"}, nil)
	ok(err)
	_, err = table.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).ReadNothing().SetMetadata(metadata).SetProtocol(protocol).Commit(ctx)
	ok(err)
	for _, files := range [][]delta.Add{{dataFile("a.parquet", "nl", 1, 10), dataFile("b.parquet", "de", 1, 10)}, {dataFile("c.parquet", "nl", 11, 20)}} {
		s, err := table.Snapshot(ctx, delta.AsOf{})
		ok(err)
		_, err = s.Begin(delta.Operation{Name: "WRITE"}).ReadNothing().Add(files...).Commit(ctx)
		ok(err)
	}
	return table
}

// dataFile describes a Parquet file that somebody wrote below the table root.
func dataFile(path, country string, lo, hi int) delta.Add {
	stats := delta.Stats{NumRecords: 10}
	ok(stats.SetColumn([]string{"id"}, delta.Long, lo, hi, 0))
	return delta.Add{
		Path: delta.EncodePath(path), Size: 1024, ModificationTime: 1767225600000, DataChange: true, Stats: stats.JSON(),
		PartitionValues: map[string]*string{"country": &country},
	}
}

// Create a table, and append to it. The rows themselves are somebody else's: the log takes files.
func Example() {
	ctx := context.Background()
	table := delta.Open(mem.New(), "events", delta.Options{Engine: "example"})
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "id", Type: delta.Long, Nullable: true},
		{Name: "country", Type: delta.String, Nullable: true},
	}}
	metadata, protocol, err := table.NewMetadata(schema, []string{"country"}, map[string]string{"delta.enableDeletionVectors": "true"})
	ok(err)
	create := table.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).ReadNothing().SetMetadata(metadata).SetProtocol(protocol)
	_, err = create.Commit(ctx)
	ok(err)

	s, err := table.Snapshot(ctx, delta.AsOf{})
	ok(err)
	append := s.Begin(delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}}).ReadNothing()
	version, err := append.Add(dataFile("a.parquet", "nl", 1, 10)).Commit(ctx)
	ok(err)

	s, err = table.Snapshot(ctx, delta.AsOf{})
	ok(err)
	fmt.Println("version", version, "with", s.NumFiles(), "file")
	fmt.Println("protocol", s.Protocol().MinReaderVersion, s.Protocol().MinWriterVersion, s.Protocol().ReaderFeatures)
	// Output:
	// version 1 with 1 file
	// protocol 3 7 [deletionVectors]
}

// Read a table as it was, by version and by time.
func ExampleTable_Snapshot() {
	ctx := context.Background()
	table := exampleTable(ctx)
	first := int64(1)
	s, err := table.Snapshot(ctx, delta.AsOf{Version: &first})
	ok(err)
	fmt.Println("version", s.Version(), "has", s.NumFiles(), "files")

	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s, err = table.Snapshot(ctx, delta.AsOf{Timestamp: &noon})
	ok(err)
	fmt.Println("at noon it was version", s.Version(), "with", s.NumFiles(), "files")
	// Output:
	// version 1 has 2 files
	// at noon it was version 2 with 3 files
}

// Follow what changes, commit by commit.
func ExampleTable_Changes() {
	ctx := context.Background()
	table := exampleTable(ctx)
	for commit, err := range table.Changes(ctx, 0, 2) {
		ok(err)
		for _, a := range commit.Adds {
			fmt.Println(commit.Version, commit.Info.Operation, a.Path)
		}
	}
	// Output:
	// 1 WRITE a.parquet
	// 1 WRITE b.parquet
	// 2 WRITE c.parquet
}

// Find the files that may hold rows for which a condition is true.
func ExampleSnapshot_Prune() {
	ctx := context.Background()
	s, err := exampleTable(ctx).Snapshot(ctx, delta.AsOf{})
	ok(err)
	condition := delta.Predicate{Op: delta.OpAnd, Args: []delta.Predicate{
		{Op: delta.OpEq, Column: []string{"country"}, Values: []string{"nl"}},
		{Op: delta.OpGt, Column: []string{"id"}, Values: []string{"15"}},
	}}
	pruned := s.Prune(condition)
	for _, a := range pruned.Files {
		fmt.Println("read", a.Path)
	}
	fmt.Println("skipped", pruned.ByPartition, "by partition,", pruned.ByStats, "by statistics")
	// Output:
	// read c.parquet
	// skipped 1 by partition, 1 by statistics
}

// Two transactions on one version: one that replaces rows of the Netherlands is not disturbed by new German rows, but by
// new Dutch ones.
func ExampleTxn_ReadWhere() {
	ctx := context.Background()
	table := exampleTable(ctx)
	s, err := table.Snapshot(ctx, delta.AsOf{})
	ok(err)
	dutch := delta.Predicate{Op: delta.OpEq, Column: []string{"country"}, Values: []string{"nl"}}
	replace := func(name string) *delta.Txn {
		old := s.Prune(dutch).Files
		return s.Begin(delta.Operation{Name: "UPDATE"}).ReadWhere(dutch, old...).Remove(true, old...).Add(dataFile(name, "nl", 1, 20))
	}
	first, second := replace("d.parquet"), replace("e.parquet")

	_, err = s.Begin(delta.Operation{Name: "WRITE"}).ReadNothing().Add(dataFile("f.parquet", "de", 11, 20)).Commit(ctx)
	ok(err)
	version, err := first.Commit(ctx)
	ok(err)
	fmt.Println("the first is version", version)

	_, err = second.Commit(ctx)
	var conflict *delta.ConflictError
	if errors.As(err, &conflict) {
		fmt.Println("the second lost:", conflict.Kind, "with version", conflict.Winner.Version)
		fmt.Println("it is", fault.KindOf(err), "and may be planned anew")
	}
	// Output:
	// the first is version 4
	// the second lost: ConcurrentAppend with version 4
	// it is Stale and may be planned anew
}

// Write a transaction aside, look at the table as it would be, and publish it later, perhaps in another process.
func ExampleTxn_Stage() {
	ctx := context.Background()
	table := exampleTable(ctx)
	s, err := table.Snapshot(ctx, delta.AsOf{})
	ok(err)
	x := s.Begin(delta.Operation{Name: "WRITE"}).ReadNothing().Add(dataFile("d.parquet", "fr", 1, 10))
	staged, err := x.Stage(ctx, 4711)
	ok(err)
	audit, err := s.With(x.Actions())
	ok(err)
	fmt.Println("would be version", audit.Version(), "with", audit.NumFiles(), "files")

	loaded, err := table.LoadStaged(ctx, staged)
	ok(err)
	for range 2 { // as after an answer that got lost: it is applied once
		version, err := loaded.Commit(ctx)
		ok(err)
		fmt.Println("is version", version)
	}
	// Output:
	// would be version 3 with 4 files
	// is version 3
	// is version 3
}
