package maintenance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/blob"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/s3"
)

// place names a store, for a process to open it.
type place struct {
	Folder           string // on this machine; or
	Endpoint, Bucket string // of S3, with
	Access, Secret   string // its keys; or
	Connection       string // to Azure, where Bucket is the container
}

func (p place) open(ctx context.Context) (store.Store, error) {
	switch {
	case p.Folder != "":
		return file.New(p.Folder)
	case p.Connection != "":
		c, err := container.NewClientFromConnectionString(p.Connection, p.Bucket, nil)
		if err != nil {
			return nil, err
		}
		return blob.New(c), nil
	}
	return s3.New(ctx, aws.Config{
		Region: "us-east-1", BaseEndpoint: &p.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(p.Access, p.Secret, ""),
	}, s3.Options{Bucket: p.Bucket, PathStyle: true})
}

// job is what one process is to do.
type job struct {
	Place   place
	Name    string // "w07": becomes engineInfo of its commits, with the operation's number
	Kind    string // "writer", "keeper" (optimize and vacuum, too), "reader"
	Seed    uint64
	Until   time.Time
	Grace   time.Duration // that a vacuum leaves to readers and writers
	Temp    string
	Journal string // file of entries, one a line
}

const jobVariable = "LAKESTEP_CONCURRENCY_JOB"

// effect is what an operation does to rows: the model replays it.
type effect struct {
	Op    string // "append", "upsert", "stamp", "delete", "slot", or one without effect
	Shard int64
	Key   string           // batch of append and delete
	Add   map[string]int64 // by id: of upsert, stamp and slot; Key of stamp is empty
	X     int64            // of an update of all counters of the shard
}

// entry is one operation in a process's journal.
type entry struct {
	Seq        int
	Effect     effect
	Start, End int64  // Unix time in nanoseconds; the processes are on one machine
	Version    int64  // committed, or read
	Sum        uint64 // of the rows that a reader saw
	Rows       int64
	Stale      bool   // the writer gave up after too many conflicts: nothing may have happened
	Unknown    bool   // the store did not say whether it took the commit
	Late       bool   // it took longer than a vacuum's grace allows, and was stopped
	Error      string // anything else
	Nothing    bool   // done without a commit, as the log shows: no row was concerned
}

const (
	shards   = 4 // with counters and slots; as many more have batches only
	counters = 6 // a shard
	batch    = 5 // rows
	modulus  = 1_000_003
	small    = 16 << 10 // bytes that optimize aims at: a commit rewrites some files of one partition
)

// stamped is a step that does not commute: the order of steps shows in the result, as does one that is lost.
func stamped(n, x int64) int64 { return (n*31 + x) % modulus }

func rowHash(shard int64, kind, id, batch string, n int64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d|%s|%s|%s|%d", shard, kind, id, batch, n)
	return h.Sum64()
}

// TestConcurrencyProcess is the body of the processes that TestConcurrency starts.
func TestConcurrencyProcess(t *testing.T) {
	text := os.Getenv(jobVariable)
	if text == "" {
		t.Skip("SKIPPED: only for the processes that TestConcurrency starts")
	}
	var j job
	must(t, json.Unmarshal([]byte(text), &j))
	p, err := newProcess(t, j)
	must(t, err)
	for p.seq = 1; time.Now().Before(j.Until); p.seq++ {
		// A file that waits for its commit longer than the grace could be gone by then: whoever is slow stops in time.
		ctx, cancel := context.WithTimeout(t.Context(), j.Grace/2)
		var e entry
		if j.Kind == "reader" {
			e = p.read(ctx)
		} else {
			e = p.write(ctx)
		}
		e.Late = e.Error != "" && ctx.Err() != nil
		cancel()
		must(t, p.journal.Encode(e))
	}
}

type process struct {
	job
	random  *rand.Rand
	store   store.Store
	session *engine.Session
	journal *json.Encoder
	seq     int
	batches []effect // own ones, not deleted yet
}

func newProcess(t *testing.T, j job) (*process, error) {
	e, err := engine.Open(engine.Options{MemoryMB: 150, Threads: 1, TempDir: j.Temp})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = e.Close() })
	p := &process{job: j, random: rand.New(rand.NewPCG(j.Seed, 1))}
	if p.session, err = e.Session(t.Context()); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = p.session.Close() })
	if p.store, err = j.Place.open(t.Context()); err != nil {
		return nil, err
	}
	f, err := os.Create(j.Journal)
	p.journal = json.NewEncoder(f)
	return p, err
}

// table is the table as the current operation opens it: its commits carry the operation's name.
func (p *process) table() *dml.Table {
	return &dml.Table{
		Delta: delta.Open(p.store, "t", delta.Options{Engine: fmt.Sprintf("%s/%d", p.Name, p.seq)}), Store: p.store, Session: p.session,
		Attempt: func() int64 { return p.random.Int64() }, Now: time.Now,
	}
}

func (p *process) read(ctx context.Context) entry {
	e := entry{Seq: p.seq, Start: time.Now().UnixNano(), Effect: effect{Op: "read"}}
	err := func() error {
		t := p.table()
		snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return err
		}
		if v := snap.Version() - 3; p.random.IntN(4) == 0 && v > 0 { // time travel
			if snap, err = t.Delta.Snapshot(ctx, delta.AsOf{Version: &v}); err != nil {
				return err
			}
			e.Effect.Op = "read back"
		}
		e.Version = snap.Version()
		relation, err := p.session.Relation(ctx, engine.NewScan(p.store, t.Delta, snap, engine.Files(snap.Files())))
		if err != nil {
			return err
		}
		rows, err := p.session.Query(ctx, "SELECT shard, kind, id, coalesce(batch, ''), n FROM "+relation)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shard, n int64
			var kind, id, batch string
			if err := rows.Scan(&shard, &kind, &id, &batch, &n); err != nil {
				return err
			}
			e.Sum += rowHash(shard, kind, id, batch, n)
			e.Rows++
		}
		return rows.Err()
	}()
	e.End = time.Now().UnixNano()
	if err != nil {
		e.Error = err.Error()
	}
	return e
}

// write does one operation at random.
func (p *process) write(ctx context.Context) entry {
	f := effect{Shard: p.random.Int64N(shards), X: p.random.Int64N(1000), Add: map[string]int64{}}
	chance := p.random.IntN(100)
	var run func(*dml.Table) (int64, error)
	operation := func(op dml.Operation) func(*dml.Table) (int64, error) {
		return func(t *dml.Table) (int64, error) {
			r, err := t.Run(ctx, op)
			return r.Version, err
		}
	}
	switch {
	case p.Kind == "keeper" && chance < 70:
		f.Op, run = p.keep(ctx)
	case chance < 30 || len(p.batches) == 0 && chance < 45:
		f.Op, f.Key, f.Shard = "append", fmt.Sprintf("%s-%d", p.Name, p.seq), p.random.Int64N(2*shards)
		run = operation(dml.Append{Rows: batchRows(f)})
	case chance < 45:
		f = p.batches[0]
		f.Op = "delete"
		run = operation(dml.Delete{Where: fmt.Sprintf("shard = %d AND batch = '%s'", f.Shard, f.Key)})
	case chance < 80:
		f.Op = "upsert"
		for range 1 + p.random.IntN(3) {
			f.Add[fmt.Sprintf("c%d-%d", f.Shard, p.random.IntN(counters))] = p.random.Int64N(1000)
		}
		run = operation(upsert(f))
	case chance < 90:
		f.Op = "stamp"
		run = operation(dml.Update{
			Set:   map[string]string{"n": fmt.Sprintf("(n * 31 + %d) %% %d", f.X, modulus)},
			Where: fmt.Sprintf("shard = %d AND kind = 'counter'", f.Shard),
		})
	default:
		f.Op = "slot"
		for range 1 + p.random.IntN(4) {
			f.Add[fmt.Sprintf("s%d-%d", f.Shard, p.random.IntN(10))] = p.random.Int64N(1000)
		}
		run = operation(dml.Overwrite{Rows: addRows(f, "slot"), Where: fmt.Sprintf("shard = %d AND kind = 'slot'", f.Shard)})
	}
	e := entry{Seq: p.seq, Effect: f, Start: time.Now().UnixNano()}
	version, err := run(p.table())
	e.End, e.Version = time.Now().UnixNano(), version
	var conflict *delta.ConflictError
	switch {
	case err == nil && f.Op == "append":
		p.batches = append(p.batches, f)
	case err == nil && f.Op == "delete":
		p.batches = p.batches[1:]
	case err == nil:
	case errors.As(err, &conflict):
		e.Stale, e.Error = true, err.Error()
	case fault.KindOf(err) == fault.Unavailable:
		e.Unknown, e.Error = true, err.Error()
	default:
		e.Error = err.Error()
	}
	return e
}

// keep looks after the table: no row changes.
func (p *process) keep(ctx context.Context) (string, func(*dml.Table) (int64, error)) {
	switch p.random.IntN(4) {
	case 0:
		return "vacuum", func(t *dml.Table) (int64, error) {
			out, err := maintenance.Vacuum(ctx, t, maintenance.VacuumOptions{Retention: &p.Grace, Short: true})
			return int64(len(out.Files)), err
		}
	case 1:
		return "zorder", func(t *dml.Table) (int64, error) {
			out, err := maintenance.Optimize(ctx, t, maintenance.OptimizeOptions{ZOrder: []string{"id", "n"}, BatchBytes: 1, TargetBytes: small})
			return out.Version, err
		}
	case 2:
		return "checkpoint", func(t *dml.Table) (int64, error) {
			snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
			if err != nil {
				return 0, err
			}
			return snap.Version(), t.Delta.Checkpoint(ctx, snap.Version())
		}
	}
	return "optimize", func(t *dml.Table) (int64, error) {
		out, err := maintenance.Optimize(ctx, t, maintenance.OptimizeOptions{BatchBytes: 1, TargetBytes: small})
		return out.Version, err
	}
}

func batchRows(f effect) string {
	return fmt.Sprintf("SELECT %d AS shard, 'event' AS kind, '%s-' || i AS id, '%s' AS batch, i AS n FROM range(%d) r(i)", f.Shard, f.Key, f.Key, batch)
}

func addRows(f effect, kind string) string {
	var rows []string
	for id, n := range f.Add {
		rows = append(rows, fmt.Sprintf("SELECT %d AS shard, '%s' AS kind, '%s' AS id, CAST(NULL AS VARCHAR) AS batch, %d AS n", f.Shard, kind, id, n))
	}
	return strings.Join(rows, " UNION ALL ")
}

func upsert(f effect) dml.Merge {
	return dml.Merge{
		Source: addRows(f, "counter"), Keys: []string{"shard", "id"},
		Matched:    []dml.Clause{{Set: map[string]string{"n": fmt.Sprintf("(t.n * 31 + s.n) %% %d", modulus)}}},
		NotMatched: []dml.Clause{{}},
	}
}
