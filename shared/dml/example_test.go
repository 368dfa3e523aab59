package dml_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// exampleTable makes an empty table in memory, and gives a function that frees what it takes.
func exampleTable(ctx context.Context, properties map[string]string) (*dml.Table, func()) {
	temp, err := os.MkdirTemp("", "example-")
	check(err)
	db, err := engine.Open(engine.Options{MemoryMB: 256, Threads: 2, TempDir: temp})
	check(err)
	session, err := db.Session(ctx)
	check(err)
	lake := mem.New()
	attempt := int64(0)
	t := &dml.Table{
		Delta: delta.Open(lake, "orders", delta.Options{}), Store: lake, Session: session,
		Attempt: func() int64 { attempt++; return attempt }, // random in real life: no two writers may share one
		Now:     time.Now,
	}
	columns := delta.Schema{Fields: []delta.Field{
		{Name: "id", Type: delta.Long}, {Name: "status", Type: delta.String, Nullable: true}, {Name: "amount", Type: delta.Decimal(10, 2), Nullable: true},
	}}
	_, err = t.Create(ctx, columns, nil, properties)
	check(err)
	return t, func() {
		check(session.Close())
		check(db.Close())
		check(os.RemoveAll(temp))
	}
}

// show prints the table's rows.
func show(ctx context.Context, t *dml.Table) {
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
	check(err)
	rel, err := t.Session.Relation(ctx, engine.NewScan(t.Store, t.Delta, snap, engine.Files(snap.Files())))
	check(err)
	rows, err := t.Session.Strings(ctx, "SELECT id, status, amount::VARCHAR FROM "+rel+" ORDER BY id")
	check(err)
	fmt.Println(rows)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleTable_Run() {
	ctx := context.Background()
	t, done := exampleTable(ctx, nil)
	defer done()
	_, err := t.Run(ctx, dml.Append{Rows: "SELECT * FROM (VALUES (1, 'new', 10.0), (2, 'new', 20.0), (3, 'sent', 30.0)) v(id, status, amount)"})
	check(err)
	_, err = t.Run(ctx, dml.Update{Set: map[string]string{"status": "'paid'", "amount": "amount * 2"}, Where: "status = 'new' AND id < 2"})
	check(err)
	deleted, err := t.Run(ctx, dml.Delete{Where: "status = 'sent'"})
	check(err)
	fmt.Println("version", deleted.Version, "deleted", deleted.Metrics["numDeletedRows"])
	show(ctx, t)
	// Output:
	// version 3 deleted 1
	// [[1 paid 20.00] [2 new 20.00]]
}

func ExampleMerge() {
	ctx := context.Background()
	t, done := exampleTable(ctx, map[string]string{"delta.enableDeletionVectors": "true", "delta.enableChangeDataFeed": "true"})
	defer done()
	_, err := t.Run(ctx, dml.Append{Rows: "SELECT * FROM (VALUES (1, 'new', 10.0), (2, 'new', 20.0)) v(id, status, amount)"})
	check(err)
	_, err = t.Run(ctx, dml.Merge{
		Source:     "SELECT * FROM (VALUES (1, 'cancelled', 0.0), (2, 'paid', 21.0), (3, 'new', 5.0)) v(id, status, amount)",
		Keys:       []string{"id"},
		Matched:    []dml.Clause{{When: "s.status = 'cancelled'", Delete: true}, {}}, // else: every column from the source
		NotMatched: []dml.Clause{{}},
	})
	check(err)
	show(ctx, t)
	// Output:
	// [[2 paid 21.00] [3 new 5.00]]
}

func ExampleTable_Plan() {
	ctx := context.Background()
	t, done := exampleTable(ctx, map[string]string{"delta.constraints.positive": "amount > 0"})
	defer done()
	snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
	check(err)
	_, err = t.Plan(ctx, snap, dml.Append{Rows: "SELECT 1 AS id, 0.0 AS amount"})
	fmt.Println(err)
	// What is planned may be looked at before it is committed, here or, staged, in another process.
	plan, err := t.Plan(ctx, snap, dml.Append{Rows: "SELECT 1 AS id, 5.0 AS amount"})
	check(err)
	next, err := snap.With(plan.Txn().Actions())
	check(err)
	fmt.Println(len(plan.Adds), "file to add; version", next.Version())
	version, err := plan.Txn().SetTxn("my-loader", 7).Commit(ctx)
	check(err)
	fmt.Println("committed version", version)
	// Output:
	// write orders: CHECK constraint positive (amount > 0) does not hold; the first row that breaks it: {'id': 1, 'status': NULL, 'amount': 0.00}
	// 1 file to add; version 1
	// committed version 1
}
