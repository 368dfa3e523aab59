package maintenance_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/store/storetest"
	"github.com/lakestep/lakestep/tools/oracle"
)

const (
	writers = 16
	readers = 4
)

// TestConcurrency has 16 processes write one table, and 4 read it: appends, merges, updates, deletes, overwrites, optimize,
// z-order, vacuum, checkpoints.
//
// Whether the history is linear is not searched for (as porcupine would, in exponential time): the log already says in which order the
// operations happened, and is held to it. Each operation that was acknowledged is at exactly one version, each that was refused at
// none; the order of versions respects real time (what ended before another began comes first, for reads, too); and a model that replays
// the operations in that order has exactly the rows that each reader saw at its version, and that the table has at the end. The
// operations do not commute, so that one lost, doubled or done on old rows shows.
func TestConcurrency(t *testing.T) {
	t.Run("folder", func(t *testing.T) { concurrency(t, place{Folder: t.TempDir()}, nil) })
	t.Run("deletion vectors", func(t *testing.T) {
		long(t)
		concurrency(t, place{Folder: t.TempDir()}, map[string]string{"delta.enableDeletionVectors": "true", "delta.enableChangeDataFeed": "true"})
	})
	t.Run("S3", func(t *testing.T) {
		long(t)
		s := storetest.Versitygw(t)
		concurrency(t, place{Endpoint: s.Endpoint, Bucket: s.Bucket(t), Access: s.AccessKey, Secret: s.SecretKey}, nil)
	})
	t.Run("moto", func(t *testing.T) {
		long(t)
		s := storetest.Moto(t).Atomic(t)
		concurrency(t, place{Endpoint: s.Endpoint, Bucket: s.Bucket(t), Access: s.AccessKey, Secret: s.SecretKey}, nil)
	})
	t.Run("Blob", func(t *testing.T) {
		long(t)
		s := storetest.Azurite(t)
		p := place{Connection: s.ConnectionString(), Bucket: s.Bucket(t)}
		c, err := container.NewClientFromConnectionString(p.Connection, p.Bucket, nil)
		must(t, err)
		_, err = c.Create(t.Context(), nil)
		must(t, err)
		concurrency(t, p, nil)
	})
}

func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LAKESTEP_LONG") == "" {
		t.Skip("SKIPPED: runs in `make test/long` (LAKESTEP_LONG)")
	}
}

// duration is LAKESTEP_CONCURRENCY (a Go duration), else 30 s, and 5 minutes in the long target.
func duration(t *testing.T) time.Duration {
	t.Helper()
	if s := os.Getenv("LAKESTEP_CONCURRENCY"); s != "" {
		d, err := time.ParseDuration(s)
		must(t, err)
		return d
	}
	if os.Getenv("LAKESTEP_LONG") != "" {
		return 5 * time.Minute
	}
	return 30 * time.Second
}

func concurrency(t *testing.T, at place, properties map[string]string) {
	st, err := at.open(t.Context())
	must(t, err)
	table := delta.Open(st, "t", delta.Options{})
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "shard", Type: delta.Long}, {Name: "kind", Type: delta.String}, {Name: "id", Type: delta.String},
		{Name: "batch", Type: delta.String, Nullable: true}, {Name: "n", Type: delta.Long},
	}}
	_, err = (&dml.Table{Delta: table, Store: st}).Create(t.Context(), schema, []string{"shard"}, properties)
	must(t, err)

	h := history{T: t, entries: map[string][]entry{}}
	h.run(at, duration(t))
	h.readLog(table)
	h.replay()
	h.realTime()
	h.final(at, st)
	h.report()
}

// history is what happened: what the processes say, and what the log says.
type history struct {
	*testing.T
	entries  map[string][]entry // by process
	commits  []string           // engineInfo, by version
	packed   int                // commits of optimize and z-order: one that was stopped may have made some
	versions map[string][]int64 // by engineInfo
	sums     []uint64           // of the model's rows, by version
	rows     []int64            // the number of them
}

// run starts the processes and waits for them.
func (h *history) run(at place, d time.Duration) {
	temp := h.TempDir()
	until := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := range writers + readers {
		j := job{
			Place: at, Name: fmt.Sprintf("w%02d", i), Kind: "writer", Seed: uint64(time.Now().UnixNano()) + uint64(i), Until: until,
			Grace: max(d*2/3, 20*time.Second), Temp: filepath.Join(temp, fmt.Sprint(i)),
		}
		switch {
		case i >= writers:
			j.Name, j.Kind = fmt.Sprintf("r%02d", i), "reader"
		case i < 2:
			j.Kind = "keeper"
		}
		if d > time.Minute {
			j.Grace = 40 * time.Second
		}
		j.Journal = filepath.Join(temp, j.Name+".jsonl")
		text, err := json.Marshal(j)
		must(h, err)
		cmd := exec.CommandContext(h.Context(), os.Args[0], "-test.run=^TestConcurrencyProcess$", "-test.timeout="+(d+5*time.Minute).String())
		cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		must(h, cmd.Start())
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				h.Errorf("%s: %v\n%s", j.Name, err, output.String())
			}
		})
	}
	wg.Wait()
	for i := range writers + readers {
		name := fmt.Sprintf("%c%02d", "wr"[i/writers], i)
		b, err := os.ReadFile(filepath.Join(temp, name+".jsonl"))
		must(h, err)
		for line := range bytes.Lines(b) {
			var e entry
			must(h, json.Unmarshal(line, &e))
			h.entries[name] = append(h.entries[name], e)
		}
	}
}

// readLog says which operation made each version, and holds it against what the processes were told.
func (h *history) readLog(table *delta.Table) {
	h.versions = map[string][]int64{}
	last := int64(-1)
	snap, err := table.Snapshot(h.Context(), delta.AsOf{})
	must(h, err)
	for c, err := range table.Changes(h.Context(), -1, snap.Version()) {
		must(h, err)
		if c.Version != last+1 {
			h.Fatalf("version %d follows %d", c.Version, last)
		}
		last = c.Version
		h.commits = append(h.commits, c.Info.EngineInfo)
		if c.Info.Operation == "OPTIMIZE" {
			h.packed++
		}
		h.versions[c.Info.EngineInfo] = append(h.versions[c.Info.EngineInfo], c.Version)
	}
	known := 1 // the creation
	for name, entries := range h.entries {
		for i, e := range entries {
			at := h.versions[fmt.Sprintf("%s/%d", name, e.Seq)]
			known += len(at)
			switch {
			case e.quiet():
				if e.Error != "" && !e.Stale && !e.Late {
					h.Errorf("%s/%d: %s: %s", name, e.Seq, e.Effect.Op, e.Error)
				}
			case (e.Unknown || e.Late) && len(at) <= 1: // it may have come, once
			case e.Stale && len(at) == 0:
			case e.Error == "" && len(at) == 0: // there was nothing to do: replay will see
				entries[i].Nothing = true
			case e.Error != "":
				h.Errorf("%s/%d: %s (versions %d): %s", name, e.Seq, e.Effect.Op, at, e.Error)
			case len(at) != 1 || at[0] != e.Version:
				h.Errorf("%s/%d: %s is at versions %d, it was told %d", name, e.Seq, e.Effect.Op, at, e.Version)
			}
		}
	}
	if known != len(h.commits) {
		h.Errorf("of %d commits %d have no operation", len(h.commits), len(h.commits)-known)
	}
}

// quiet operations change no row.
func (e entry) quiet() bool {
	return e.Nothing || !slices.Contains([]string{"append", "upsert", "stamp", "delete", "slot"}, e.Effect.Op)
}

// replayed is a row of the model.
type replayed struct {
	shard       int64
	kind, batch string
	n           int64
}

// replay does the operations in the order of the log, and checks each reader's sum.
func (h *history) replay() {
	effects, nothing := map[string]effect{}, map[int64][]effect{}
	for name, entries := range h.entries {
		for _, e := range entries {
			switch {
			case e.Nothing:
				nothing[e.Version] = append(nothing[e.Version], e.Effect)
			case !e.quiet():
				effects[fmt.Sprintf("%s/%d", name, e.Seq)] = e.Effect
			}
		}
	}
	state := map[string]replayed{}
	var sum uint64
	set := func(id string, r replayed) {
		sum += rowHash(r.shard, r.kind, id, r.batch, r.n)
		state[id] = r
	}
	drop := func(id string) {
		r := state[id]
		sum -= rowHash(r.shard, r.kind, id, r.batch, r.n)
		delete(state, id)
	}
	for version, info := range h.commits {
		f := effects[info]
		switch f.Op {
		case "append":
			for i := range int64(batch) {
				set(fmt.Sprintf("%s-%d", f.Key, i), replayed{f.Shard, "event", f.Key, i})
			}
		case "delete":
			for i := range batch {
				drop(fmt.Sprintf("%s-%d", f.Key, i))
			}
		case "upsert":
			for id, x := range f.Add {
				n := x
				if old, ok := state[id]; ok {
					n = stamped(old.n, x)
					drop(id)
				}
				set(id, replayed{f.Shard, "counter", "", n})
			}
		case "stamp", "slot":
			for _, id := range slices.Collect(maps.Keys(state)) {
				r := state[id]
				switch {
				case r.shard != f.Shard:
				case f.Op == "stamp" && r.kind == "counter":
					drop(id)
					r.n = stamped(r.n, f.X)
					set(id, r)
				case f.Op == "slot" && r.kind == "slot":
					drop(id)
				}
			}
			for id, n := range f.Add {
				set(id, replayed{f.Shard, "slot", "", n})
			}
		}
		h.sums, h.rows = append(h.sums, sum), append(h.rows, int64(len(state)))
		for _, f := range nothing[int64(version)] {
			if f.Op != "stamp" || slices.ContainsFunc(slices.Collect(maps.Values(state)), func(r replayed) bool { return r.shard == f.Shard && r.kind == "counter" }) {
				h.Errorf("%s of shard %d found nothing to do at version %d", f.Op, f.Shard, version)
			}
		}
	}
	for name, entries := range h.entries {
		for _, e := range entries {
			if !strings.HasPrefix(e.Effect.Op, "read") || e.Error != "" {
				continue
			}
			if e.Sum != h.sums[e.Version] {
				h.Errorf("%s/%d read version %d: %d rows, of which the sum is wrong; the model has %d rows", name, e.Seq, e.Version, e.Rows, h.rows[e.Version])
			}
		}
	}
}

// realTime checks that what had ended before another operation began is in the log before it.
func (h *history) realTime() {
	var all []entry
	for _, entries := range h.entries {
		for _, e := range entries {
			if e.Error == "" && e.Effect.Op != "vacuum" && e.Effect.Op != "read back" {
				all = append(all, e)
			}
		}
	}
	byEnd := slices.Clone(all)
	slices.SortFunc(all, func(a, b entry) int { return int(a.Start - b.Start) })
	slices.SortFunc(byEnd, func(a, b entry) int { return int(a.End - b.End) })
	newest, ended := int64(0), 0
	for _, e := range all {
		for ; ended < len(byEnd) && byEnd[ended].End < e.Start; ended++ {
			newest = max(newest, byEnd[ended].Version)
		}
		if e.Version < newest || (e.Version == newest && !e.quiet()) {
			h.Errorf("%s at version %d began after version %d was there", e.Effect.Op, e.Version, newest)
		}
	}
}

// final reads the table once more, and lets delta-rs read it, too.
func (h *history) final(at place, st any) {
	p, err := newProcess(h.T, job{Place: at, Name: "end", Temp: h.TempDir(), Journal: filepath.Join(h.TempDir(), "end.jsonl")})
	must(h, err)
	e := p.read(h.Context())
	last := len(h.commits) - 1
	if e.Error != "" || e.Sum != h.sums[e.Version] || (e.Effect.Op == "read" && e.Version != int64(last)) {
		h.Errorf("the table in the end: %+v, want version %d with %d rows", e, last, h.rows[last])
	}
	if python := os.Getenv("LAKESTEP_TEST_PYTHON"); python != "" && at.Folder != "" {
		var found [][]string
		must(h, oracle.DeltaRS(h, python).Call("read", map[string]any{"path": filepath.Join(at.Folder, "t"), "versions": []int{last}}, &found))
		var sum uint64
		for _, line := range found[0] {
			var r struct {
				Shard           int64
				Kind, ID, Batch string
				N               int64
			}
			must(h, json.NewDecoder(bufio.NewReader(strings.NewReader(line))).Decode(&r))
			sum += rowHash(r.Shard, r.Kind, r.ID, r.Batch, r.N)
		}
		if sum != h.sums[last] {
			h.Errorf("delta-rs reads %d other rows, the model has %d", len(found[0]), h.rows[last])
		}
	}
}

// report says what was seen, and fails if that was too little.
func (h *history) report() {
	done, stale, longest := map[string]int{}, map[string]int{}, map[string]time.Duration{}
	unknown, late, deleted := 0, 0, int64(0)
	for _, entries := range h.entries {
		for _, e := range entries {
			longest[e.Effect.Op] = max(longest[e.Effect.Op], time.Duration(e.End-e.Start).Round(time.Millisecond))
			switch {
			case e.Stale:
				stale[e.Effect.Op]++
			case e.Late:
				late++
			case e.Unknown:
				unknown++
			case e.Error == "":
				done[e.Effect.Op]++
				if e.Effect.Op == "vacuum" {
					deleted += e.Version
				}
			}
		}
	}
	h.Logf("%d versions; done %v; given up after conflicts %v; answers lost %d; out of time %d; commits of optimize %d; files vacuumed %d; rows in the end %d; longest %v",
		len(h.commits), done, stale, unknown, late, h.packed, deleted, h.rows[len(h.rows)-1], longest)
	for _, op := range []string{"append", "upsert", "stamp", "delete", "slot", "read", "optimize", "vacuum"} {
		if done[op] == 0 && (op != "optimize" || h.packed == 0) {
			h.Errorf("no %s succeeded: the test has seen too little", op)
		}
	}
}
