package transform_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/cases"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/transform"
)

// foreign runs testdata/foreign.py on tables of the lake.
func (h *house) foreign(t *testing.T, command string, args ...string) string {
	t.Helper()
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	args[0] = filepath.Join(h.Root, args[0])
	for i := range args[1:] {
		if strings.Contains(args[i+1], "/") {
			args[i+1] = filepath.Join(h.Root, args[i+1])
		}
	}
	cmd := exec.Command(interpreter, append([]string{"testdata/foreign.py", command}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, stderr.String())
	}
	return string(out)
}

// three loads three batches, with an update in the last, and makes everything of each.
func three(t *testing.T) *house {
	h := newHouse(t)
	for i := range 3 {
		h.load(t, laketest.Row{fmt.Sprint(i), "a"}, laketest.Row{"5", fmt.Sprint("v", i)}, laketest.Row{nil, fmt.Sprint("bad", i)})
		h.all(t, transform.Staged)
	}
	return h
}

// Compaction and vacuum by delta-rs, on every table: everything goes on, and nothing is read twice.
func TestForeignMaintenance(t *testing.T) {
	h := three(t)
	h.foreign(t, "optimize,checkpoint,vacuum", "bronze/raw", "silver/s", "silver/q", "gold/g", "gold/m")
	for _, name := range []string{"silver.s", "gold.m"} {
		h.make(t, name, transform.Unchanged)
	}
	h.load(t, laketest.Row{"9", "z"}, laketest.Row{"0", "b"})
	made := h.make(t, "silver.s", transform.Staged)
	if want := (lake.Counts{Read: 2, Accepted: 2}); made.Decision.Counts != want || made.Updated != 1 {
		t.Errorf("%+v", made.Decision.Counts)
	}
	h.make(t, "gold.g", transform.Staged)
	if made := h.make(t, "gold.m", transform.Staged); made.Decision.Counts.Read != 2 {
		t.Errorf("gold.m read %+v", made.Decision.Counts)
	}
	for _, name := range []string{"silver.s", "gold.g", "gold.m"} {
		h.want(t, name, "0|b", "1|a", "2|a", "5|v2", "9|z")
	}
	h.want(t, "silver.q", "NULL|bad0|null_id", "NULL|bad1|null_id", "NULL|bad2|null_id")
}

// What was compacted before it was read is read once; what was also vacuumed is lost, and that is said.
func TestForeignMaintenanceBeforeReading(t *testing.T) {
	h := three(t)
	h.load(t, laketest.Row{"9", "z"})
	h.foreign(t, "optimize", "bronze/raw")
	if made := h.make(t, "silver.s", transform.Staged); made.Decision.Counts.Read != 1 {
		t.Errorf("%+v", made.Decision.Counts)
	}
	h.want(t, "silver.s", "0|a", "1|a", "2|a", "5|v2", "9|z")

	h.load(t, laketest.Row{"10", "z"})
	h.foreign(t, "optimize,vacuum", "bronze/raw")
	_, err := h.try(t, "silver.s")
	wantFault(t, err, fault.SourceLost, "vacuumed before it was read")
}

// A program that appends to a raw table is a source like any other.
func TestForeignAppend(t *testing.T) {
	h := three(t)
	h.foreign(t, "append", "bronze/raw")
	if made := h.make(t, "silver.s", transform.Staged); made.Decision.Counts.Read != 1 {
		t.Errorf("%+v", made.Decision.Counts)
	}
	h.make(t, "silver.s", transform.Unchanged)
	h.want(t, "silver.s", "0|a", "1|a", "2|a", "5|v2", "77|foreign")
	h.load(t, laketest.Row{"9", "z"}) // and lakestep goes on behind it
	if made := h.make(t, "silver.s", transform.Staged); made.Decision.Counts.Read != 1 {
		t.Errorf("%+v", made.Decision.Counts)
	}
}

// Whoever takes rows out of a table stops those who read it, and the table itself.
func TestForeignRemoval(t *testing.T) {
	for _, command := range []string{"delete", "overwrite", "restore"} {
		t.Run(command, func(t *testing.T) {
			h := three(t)
			h.foreign(t, command, "silver/s")
			for _, name := range []string{"silver.s", "gold.m", "gold.g"} {
				_, err := h.try(t, name)
				wantFault(t, err, fault.SourceLost, "silver.s")
			}
			h = three(t)
			h.foreign(t, command, "bronze/raw")
			_, err := h.try(t, "silver.s")
			wantFault(t, err, fault.SourceLost, "bronze.raw")
		})
	}
}

// A foreign program may have the last word in a raw table before a load of ours: what it took away is still noticed by those behind.
func TestForeignRemovalUnderALoad(t *testing.T) {
	h := three(t)
	table := h.Open(t, "bronze.raw")
	h.foreign(t, "delete", "bronze/raw")
	d := table.Next("load", h.Lake.NewAttempt())
	if err := table.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	txn := table.Snap.Begin(operation(d.Attempt))
	if _, err := txn.SetTxn(lake.AppID("bronze.raw"), d.Attempt).ReadNothing().Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := h.try(t, "silver.s")
	wantFault(t, err, fault.SourceLost, "removed rows")
}

// delta-rs reads the same change data as a consumer of ours.
func TestForeignReadsTheFeed(t *testing.T) {
	h := three(t)
	for _, name := range []string{"silver.s", "gold.m"} {
		table := h.Open(t, name)
		latest := table.Snap.Version()
		for from := int64(0); from < latest; from++ {
			g, err := table.Since(t.Context(), &lake.Input{Version: from, TableID: table.Snap.Metadata().ID})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]string{}
			for _, f := range []struct {
				files []engine.File
				extra []string
			}{{g.Rows, nil}, {g.Feed, []string{"_change_type"}}} {
				if len(f.files) == 0 {
					continue
				}
				sc := table.Scan(table.Snap, f.files)
				sc.Extra = f.extra
				for _, line := range h.Scan(t, sc) {
					kind := "insert"
					if f.extra != nil {
						i := strings.LastIndexByte(line, '|')
						line, kind = line[:i], line[i+1:]
					}
					got[kind] = append(got[kind], line)
				}
			}
			want := map[string][]string{}
			out := h.foreign(t, "cdf", strings.Replace(name, ".", "/", 1), fmt.Sprint(from+1))
			for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
				f := strings.SplitN(line, "|", 3)
				want[f[1]] = append(want[f[1]], f[2])
			}
			for _, m := range []map[string][]string{got, want} {
				for _, lines := range m {
					slices.Sort(lines)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s since %d, delta-rs -, ours +\n%s", name, from, diff)
			}
		}
	}
}

// Tables of change events are as all others to delta-rs: it reads the same change data, deletes included, and maintains them; then they go on.
func TestForeignReadsEvents(t *testing.T) {
	for deletes, want := range map[string][2]string{
		"soft": {"1|7|b2|y|true 2|8|back|x|false 3|7|c|x|true 4|7|d|x|true", "1|7|b2|y|true 2|9|new|x|false 3|7|c|x|true 4|9|d|x|true"},
		"hard": {"2|8|back|x", "2|9|new|x"},
	} {
		t.Run(deletes, func(t *testing.T) {
			h := &house{Lab: laketest.New(t, openFile), files: eventFiles(cases.Case{First: "operation: op\ndeletes: " + deletes + "\nunchanged: gaps"})}
			load := func(rows ...laketest.Row) {
				h.Append(t, "bronze.raw", []string{"id", "seq", "v", "w", "op", "gaps"}, rows...)
				h.make(t, "silver.s", transform.Staged)
			}
			load(laketest.Row{"1", "1", "b", "x", "i", nil}, laketest.Row{"2", "1", "a", "x", "i", nil}, laketest.Row{"3", "1", "c", "x", "i", nil})
			load(laketest.Row{"1", "2", "b2", nil, "u", "w"}, laketest.Row{"2", "3", nil, nil, "d", nil}, laketest.Row{"4", "3", "d", "x", "i", nil})
			load(laketest.Row{"1", "4", nil, "y", "u", "v"})
			load(laketest.Row{nil, "7", nil, nil, "t", nil}, laketest.Row{"2", "8", "back", "x", "i", nil})
			h.want(t, "silver.s", strings.Split(want[0], " ")...)
			h.sameChanges(t, "silver.s")
			h.foreign(t, "optimize,checkpoint,vacuum", "silver/s")
			load(laketest.Row{"2", "9", "new", nil, "u", "w"}, laketest.Row{"4", "9", nil, nil, "d", nil})
			h.want(t, "silver.s", strings.Split(want[1], " ")...)
			if p := h.At(t, "silver.s", -1).Protocol(); p.MinReaderVersion != 1 || p.MinWriterVersion != 4 {
				t.Errorf("%+v", p)
			}
		})
	}
}

// sameChanges holds delta-rs's change data of a table against ours.
func (h *house) sameChanges(t *testing.T, name string) {
	t.Helper()
	session, err := h.Engine.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	table := dml.Table{Delta: h.Lake.Delta(name), Store: h.Lake.Store, Session: session, Now: h.Lake.Now}
	relation, err := table.Changes(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := session.Sample(t.Context(), "SELECT _commit_version, _change_type, * EXCLUDE (_commit_version, _change_type, _commit_timestamp) FROM "+relation, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, cells := range sample[1:] {
		got = append(got, strings.Join(cells, "|"))
	}
	lines := strings.NewReplacer("|True", "|true", "|False", "|false").Replace(h.foreign(t, "cdf", strings.Replace(name, ".", "/", 1), "0"))
	want := strings.Split(strings.TrimSpace(lines), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s, delta-rs -, ours +\n%s", name, diff)
	}
}
