package dml_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/file"
)

// mergeJob names the environment variable that turns the test program into a process that does one merge, a
// smallMerge as JSON, and prints what it took: only a process of its own says what memory a merge takes.
const mergeJob = "LAKESTEP_TEST_MERGE_JOB"

func TestMain(m *testing.M) {
	if job := os.Getenv(mergeJob); job != "" {
		if err := mergeAndReport(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The rule for a process of 512 MB: 60 % are the engine's, which takes up to a quarter more; Go collects its garbage
// before it has a fifth. The rest is code and what the system keeps.
const (
	processBytes = 512 << 20
	engineMB     = 512 * 60 / 100
	goLimit      = "GOMEMLIMIT=100MiB"
)

type smallMerge struct {
	Root, Temp, Source string
}

type mergeReport struct {
	Millis  int64
	RSS     int64 // the most memory that the process ever held, in bytes
	Metrics map[string]int64
}

func mergeAndReport(job string) (err error) {
	var j smallMerge
	if err := json.Unmarshal([]byte(job), &j); err != nil {
		return err
	}
	ctx := context.Background()
	e, err := engine.Open(engine.Options{MemoryMB: engineMB, Threads: 2, TempDir: j.Temp})
	if err != nil {
		return err
	}
	defer e.Close()
	session, err := e.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	st, err := file.New(j.Root)
	if err != nil {
		return err
	}
	table := &dml.Table{Delta: delta.Open(st, "t", delta.Options{}), Store: st, Session: session, Attempt: func() int64 { return time.Now().UnixNano() }, Now: time.Now}
	start := time.Now()
	result, err := table.Run(ctx, dml.Merge{Source: j.Source, Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}})
	if err != nil {
		return err
	}
	took := time.Since(start).Milliseconds()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(mergeReport{took, kib << 10, result.Metrics})
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
				job, err := json.Marshal(smallMerge{Root: r.root, Temp: t.TempDir(), Source: fmt.Sprintf(
					"SELECT CASE WHEN i < %d THEN %s ELSE %d + i END AS id"+body+" FROM range(%d) s(i)", source/2, c.updated, next, source)})
				must(t, err)
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), mergeJob+"="+string(job), goLimit)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v: %s", err, stderr.String())
				}
				var report mergeReport
				must(t, json.Unmarshal(out, &report))
				t.Logf("%d ms, %d MB, %v", report.Millis, report.RSS>>20, report.Metrics)
				if report.RSS > processBytes {
					t.Errorf("the merge took %d MB; %d are allowed", report.RSS>>20, processBytes>>20)
				}
				if u, i := report.Metrics["numTargetRowsUpdated"], report.Metrics["numTargetRowsInserted"]; u != int64(source/2) || i != int64(source-source/2) {
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
