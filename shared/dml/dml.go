package dml

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Table is a Delta table with what it takes to change its rows. Like its session it is used by one goroutine.
type Table struct {
	Delta   *delta.Table
	Store   store.Store // in which the table is
	Session *engine.Session
	Attempt func() int64     // gives a positive number that nobody else uses: it becomes part of file names
	Now     func() time.Time // the clock
	temps   int              // temporary tables so far
}

// Operation is a change of a table's rows. The types of this package that are named after what they do implement it.
type Operation interface {
	plan(ctx context.Context, t *Table, snap *delta.Snapshot) (*Plan, error)
}

// Plan is what an operation does to a table, with its files written and nothing committed. Whoever plans may add to
// the transaction that Txn gives; the fields are for looking at.
type Plan struct {
	Base      *delta.Snapshot // the version that was read
	Operation delta.Operation // the commitInfo, with metrics under Spark's names
	Adds      []delta.Add
	Removes   []delta.Add // live files of Base that go
	Vectors   []Vector    // live files of Base that stay, without some rows
	CDC       []delta.CDC
	Metadata  *delta.Metadata // when the schema grows
	Protocol  *delta.Protocol
	Blind     bool            // nothing of the table was looked at
	Read      delta.Predicate // rows that were looked for, unless Blind; the zero Predicate stands for the whole table
	ReadFiles []delta.Add     // whose rows mattered though they stay
}

// Vector says which rows of a file are deleted.
type Vector struct {
	File delta.Add // as it is
	Rows delta.DeletionVector
}

// Changed tells whether a commit of the plan would change the table.
func (p *Plan) Changed() bool {
	return len(p.Adds)+len(p.Removes)+len(p.Vectors) > 0 || p.Metadata != nil
}

// Txn is the plan as a transaction, to commit or to stage.
func (p *Plan) Txn() *delta.Txn {
	x := p.Base.Begin(p.Operation).Remove(true, p.Removes...).Add(p.Adds...).CDC(p.CDC...).ConstraintsHold()
	looked := slices.Concat(p.Removes, p.ReadFiles)
	for i, v := range p.Vectors {
		x.SetDeletionVector(v.File, &p.Vectors[i].Rows)
		looked = append(looked, v.File)
	}
	if p.Metadata != nil {
		x.SetMetadata(*p.Metadata)
	}
	if p.Protocol != nil {
		x.SetProtocol(*p.Protocol)
	}
	switch {
	case p.Blind:
		x.ReadNothing()
	case p.Read.Op != "":
		// Of other files none matters: whoever takes rows from them takes none that would have been changed here.
		x.ReadWhere(p.Read, looked...)
	}
	return x
}

// Plan writes the files of an operation on the table as it is at the snapshot, and says what to commit. What it wrote
// before an error stays behind as files that no log names, for a vacuum.
func (t *Table) Plan(ctx context.Context, snap *delta.Snapshot, op Operation) (*Plan, error) {
	if err := snap.CheckWritable(); err != nil {
		return nil, err
	}
	if err := t.notOurs(snap.Schema()); err != nil {
		return nil, err
	}
	p, err := op.plan(ctx, t, snap)
	if err != nil {
		return nil, err
	}
	p.Base = snap
	if len(p.Removes)+len(p.Vectors) > 0 && isTrue(snap.Metadata(), "delta.appendOnly") {
		return nil, fault.New(fault.InvalidInput, "change", t.Delta.Prefix(), "rows would go, and the table has delta.appendOnly=true")
	}
	return p, nil
}

// notOurs refuses columns that would hide those by which rows are found again.
func (t *Table) notOurs(s delta.Schema) error {
	for _, f := range s.Fields {
		if name := strings.ToLower(f.Name); engine.Reserved(name) || slices.Contains([]string{"_file", "_pos", "_clause", "_s"}, name) {
			return fault.New(fault.InvalidInput, "change", t.Delta.Prefix(), "a column may not be called %s, as one of lakestep's own is", f.Name)
		}
	}
	return nil
}

// isTrue tells whether a property of the table is switched on.
func isTrue(m delta.Metadata, property string) bool {
	return strings.EqualFold(m.Configuration[property], "true")
}

// Result says what a commit did.
type Result struct {
	Version int64            // that the operation made; the version that was read when there was nothing to change
	Metrics map[string]int64 // as in the commitInfo
}

const (
	maxPlans   = 20                    // of one Run; each further one means that another writer won
	firstPause = 20 * time.Millisecond // before the second plan, doubled until lastPause
	lastPause  = 2 * time.Second
)

// Run plans the operation on the newest version and commits it. When another writer came first with a change that the
// outcome depends on, it plans anew on the version since, up to 20 times with growing pauses; then the last conflict
// is the error (Stale).
func (t *Table) Run(ctx context.Context, op Operation) (Result, error) {
	pause := firstPause
	for try := 1; ; try++ {
		snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return Result{}, err
		}
		p, err := t.Plan(ctx, snap, op)
		if err != nil {
			return Result{}, err
		}
		if !p.Changed() {
			return Result{Version: snap.Version(), Metrics: p.Operation.Metrics}, nil
		}
		version, err := p.Txn().Commit(ctx)
		var conflict *delta.ConflictError
		switch {
		case err == nil:
			return Result{Version: version, Metrics: p.Operation.Metrics}, nil
		case !errors.As(err, &conflict) || try == maxPlans:
			return Result{}, err
		}
		// The attempt's number is random: it spreads writers that lost to the same winner.
		select {
		case <-time.After(pause/2 + time.Duration(t.Attempt())%(pause/2)):
		case <-ctx.Done():
			return Result{}, fault.New(fault.Unavailable, "commit to", t.Delta.Prefix(), "%w: %w", context.Cause(ctx), err)
		}
		pause = min(2*pause, lastPause)
	}
}

// Create makes the table, without rows. A table that is there already is a Stale fault.
func (t *Table) Create(ctx context.Context, schema delta.Schema, partitionColumns []string, properties map[string]string) (Result, error) {
	m, p, err := t.Delta.NewMetadata(schema, partitionColumns, properties)
	if err != nil {
		return Result{}, err
	}
	version, err := t.Delta.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).ReadNothing().SetMetadata(m).SetProtocol(p).Commit(ctx)
	return Result{Version: version}, err
}

// target is where data files of a plan go, for rows of the schema.
func (t *Table) target(snap *delta.Snapshot, schema delta.Schema) engine.Target {
	out := engine.Target{
		Store: t.Store, Table: t.Delta, Schema: schema, Partition: snap.Metadata().PartitionColumns, Properties: snap.Metadata().Configuration,
		Attempt: t.Attempt(), Now: t.Now(),
	}
	out.Clustered, _ = snap.ClusteringColumns()
	return out
}

// rows is SQL for the rows of some of the snapshot's files, with their places: _file is the file's number in the snapshot, _pos the row's in
// the file.
func (t *Table) rows(ctx context.Context, snap *delta.Snapshot, schema delta.Schema, numbers []int) (string, error) {
	files := make([]delta.Add, len(numbers))
	for i, n := range numbers {
		files[i] = snap.Files()[n]
	}
	sc := engine.NewScan(t.Store, t.Delta, snap, engine.Files(files))
	sc.Schema, sc.Position = schema, true
	relation, err := t.Session.Relation(ctx, sc)
	if err != nil || len(numbers) == 0 {
		return relation, err
	}
	list := make([]string, len(numbers))
	for i, n := range numbers {
		list[i] = strconv.Itoa(n)
	}
	return fmt.Sprintf("(SELECT * REPLACE (([%s]::BIGINT[])[_file + 1] AS _file) FROM %s)", strings.Join(list, ", "), relation), nil
}

// temp is a fresh name for a temporary table or view.
func (t *Table) temp(name string) string {
	t.temps++
	return fmt.Sprintf("_dml_%s_%d", name, t.temps)
}

// drop frees temporary tables; what cannot be dropped goes with the session.
func (t *Table) drop(tables ...string) {
	for _, name := range tables {
		if name == "" {
			continue
		}
		_ = t.Session.Exec(context.Background(), "DROP TABLE IF EXISTS "+name)
	}
}
