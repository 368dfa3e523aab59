package maintenance_test

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
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/tools/processtest"
)

func TestMain(m *testing.M) {
	processtest.Main(m, map[string]processtest.Job{"optimize": optimizeInSmall})
}

type smallOptimize struct {
	Root, Temp string
	ZOrder     []string
}

// optimizeInSmall optimizes the table under a folder with the engine of a process of 512 MB.
func optimizeInSmall(ctx context.Context, argument json.RawMessage) (any, error) {
	var j smallOptimize
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
	t := &dml.Table{Delta: delta.Open(st, "t", delta.Options{}), Store: st, Session: session, Attempt: func() int64 { return time.Now().UnixNano() }, Now: time.Now}
	return maintenance.Optimize(ctx, t, maintenance.OptimizeOptions{ZOrder: j.ZOrder})
}

// TestOptimizeMemory packs, and then z-orders, 10 million rows in 40 files, each time in a process of its own, which may take 512 MB;
// make test a tenth of the rows.
func TestOptimizeMemory(t *testing.T) {
	rows := 1_000_000
	if os.Getenv("LAKESTEP_LONG") != "" {
		rows = 10_000_000
	}
	r := newRig(t, nil, nil, "id", delta.Long, "name", delta.String, "amount", delta.Decimal(12, 2), "at", delta.Timestamp, "region", delta.String)
	const files = 40
	for f := range files {
		r.append(fmt.Sprintf(`SELECT hash(i) %% 1000000007 AS id, 'name of ' || hash(i) AS name, (i %% 100000) AS amount,
			TIMESTAMPTZ '2024-01-01' + to_seconds(hash(i + 1) %% 10000000) AS at, 'region ' || (i %% 50) AS region FROM range(%d, %d) s(i)`, f*rows/files, (f+1)*rows/files))
	}
	before := r.digest()
	for _, columns := range [][]string{nil, {"id", "at"}, {"name", "amount", "region"}} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			live := r.snapshot().NumFiles()
			var out maintenance.Optimized
			used := processtest.Run(t, "optimize", smallOptimize{r.root, t.TempDir(), columns}, &out, processtest.SmallGo)
			t.Logf("%d files are %d, %d MB of them: %v, %d MB", out.FilesRemoved, out.FilesAdded, out.BytesRemoved>>20, used.Took.Round(time.Millisecond), used.Peak>>20)
			if out.FilesRemoved != live || out.Rows != int64(rows) {
				t.Errorf("%d files with %d rows were rewritten, want %d with %d", out.FilesRemoved, out.Rows, live, rows)
			}
			if used.Peak > processtest.SmallBytes {
				t.Errorf("it took %d MB; %d are allowed", used.Peak>>20, processtest.SmallBytes>>20)
			}
			if r.digest() != before {
				t.Error("the rows are others")
			}
		})
	}
}
