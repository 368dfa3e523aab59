package delta_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	localfile "github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// daily is a table with a commit each noon since 2026-01-01, and a checkpoint at every fifth version.
type daily struct {
	lake  *mem.Store
	table *delta.Table
	now   time.Time
}

func newDaily(t testing.TB, commits int, config map[string]string) *daily {
	t.Helper()
	d := &daily{lake: mem.New(), now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	d.lake.Now = func() time.Time { return d.now }
	d.table = d.open(d.lake)
	properties := map[string]string{"delta.checkpointInterval": "5", "delta.logRetentionDuration": "interval 10 days"}
	for k, v := range config {
		properties[k] = v
	}
	m, p, err := d.table.NewMetadata(testSchema, nil, properties)
	must(t, err)
	_, err = d.table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	for i := 1; i < commits; i++ {
		d.now = d.now.Add(24 * time.Hour)
		s := latest(t, d.table)
		x := s.Begin(write()).Add(file(fmt.Sprintf("f%02d", i))).SetTxn("app", int64(i))
		if i%4 == 3 {
			x.Remove(true, s.Files()[0])
		}
		_, err := x.Commit(t.Context())
		must(t, err)
	}
	return d
}

func (d *daily) open(s store.Store) *delta.Table {
	return delta.Open(s, "t", delta.Options{Now: func() time.Time { return d.now }, Engine: "test"})
}

func (d *daily) names(t testing.TB) []string {
	t.Helper()
	var out []string
	for o, err := range d.lake.List(t.Context(), "t/_delta_log/", "") {
		must(t, err)
		out = append(out, strings.TrimLeft(strings.TrimPrefix(o.Key, "t/_delta_log/"), "0"))
	}
	return out
}

func TestCleanLog(t *testing.T) {
	version := func(v int64) *int64 { return &v }
	for name, c := range map[string]struct {
		config   map[string]string
		keepFrom *int64
		want     int64 // the oldest version that stays
	}{
		// Version 22 is of the 23rd at noon; ten days before is the 13th, and midnight lies before version 12.
		"by retention":     {nil, nil, 10},
		"longer":           {map[string]string{"delta.logRetentionDuration": "interval 12 days 12 hours"}, nil, 5},
		"none that old":    {map[string]string{"delta.logRetentionDuration": "interval 20 days"}, nil, 0},
		"somebody behind":  {nil, version(9), 5},
		"at a checkpoint":  {nil, version(5), 5},
		"nothing was read": {nil, version(0), 0},
		"nobody behind":    {nil, version(22), 10},
		"switched off":     {map[string]string{"delta.enableExpiredLogCleanup": "false"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaily(t, 23, c.config)
			var before []*delta.Snapshot
			for v := range int64(23) {
				s, err := d.table.Snapshot(t.Context(), delta.AsOf{Version: &v})
				must(t, err)
				before = append(before, s)
			}
			all := d.names(t)
			plan, err := d.table.CleanLog(t.Context(), delta.CleanOptions{KeepFrom: c.keepFrom, DryRun: true})
			must(t, err)
			if d := cmp.Diff(all, d.names(t)); d != "" {
				t.Fatalf("a dry run deletes:\n%s", d)
			}
			done, err := d.table.CleanLog(t.Context(), delta.CleanOptions{KeepFrom: c.keepFrom})
			must(t, err)
			if diff := cmp.Diff(plan, done); diff != "" || done.From != c.want {
				t.Errorf("from version %d, want %d\n%s", done.From, c.want, diff)
			}
			want := slices.DeleteFunc(all, func(name string) bool {
				v, err := strconv.ParseInt("0"+strings.SplitN(name, ".", 2)[0], 10, 64)
				return err == nil && v < c.want
			})
			if diff := cmp.Diff(want, d.names(t)); diff != "" {
				t.Error(diff)
			}
			for v, old := range before {
				v := int64(v)
				s, err := d.table.Snapshot(t.Context(), delta.AsOf{Version: &v})
				switch {
				case v < c.want && fault.KindOf(err) != fault.SourceLost:
					t.Errorf("version %d: %v", v, err)
				case v >= c.want:
					must(t, err)
					sameState(t, old, s)
				}
			}
			again, err := d.table.CleanLog(t.Context(), delta.CleanOptions{KeepFrom: c.keepFrom})
			must(t, err)
			if len(again.Objects) != 0 || again.From != c.want {
				t.Errorf("%+v", again)
			}
		})
	}
}

// TestCleanLogClockBack: a commit that a younger one came before is no older than that, whatever its file's time.
func TestCleanLogClockBack(t *testing.T) {
	d := newDaily(t, 23, nil)
	late := d.now
	again := func(version int64, at time.Time) {
		key := "t/_delta_log/" + commitFile(version)
		d.now = at
		putText(t, d.lake, key, text(t, d.lake, key))
		d.now = late
	}
	again(7, late)
	again(12, late.Add(-20*24*time.Hour))
	done, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if done.From != 5 {
		t.Errorf("from version %d", done.From)
	}
}

// TestCleanLogKinds: checksums, compactions, checkpoints in parts and their leftovers, sidecars, staged commits.
func TestCleanLogKinds(t *testing.T) {
	d := newDaily(t, 23, nil)
	young, at := d.now, func(day int) time.Time { return time.Date(2026, 1, day, 12, 0, 0, 0, time.UTC) }
	put := func(day int, name, body string) {
		d.now = at(day)
		putText(t, d.lake, "t/_delta_log/"+name, body)
		d.now = young
	}
	const one, two = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	v := func(n int) string { return fmt.Sprintf("%020d", n) }
	gone := []string{
		v(3) + ".crc", v(3) + "." + v(8) + ".compacted.json", v(9) + "." + v(14) + ".compacted.json", v(10) + "." + v(12) + ".compacted.json",
		v(7) + ".checkpoint.0000000001.0000000002.parquet", v(8) + ".checkpoint." + one + ".json", "_sidecars/old.parquet", "_staged_commits/" + v(6) + "." + one + ".json",
	}
	kept := []string{
		v(10) + ".crc", v(11) + "." + v(12) + ".compacted.json", v(12) + ".checkpoint.0000000001.0000000002.parquet", "_sidecars/used.parquet",
		"_staged_commits/" + v(16) + "." + one + ".json", "_commit_" + one + ".json.tmp", "." + v(3) + ".json.crc", v(3) + ".json.bak", "3.json",
	}
	for _, name := range append(slices.Clone(gone), kept...) {
		put(2, name, "{}")
	}
	put(23, "_sidecars/young.parquet", "x")
	kept = append(kept, "_sidecars/young.parquet")
	put(20, v(16)+".checkpoint."+two+".json", `{"sidecar":{"path":"used.parquet","sizeInBytes":1,"modificationTime":1}}`)
	done, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if done.From != 10 || done.Size == 0 {
		t.Errorf("%d, %d bytes", done.From, done.Size)
	}
	for _, name := range gone {
		if _, err := d.lake.Stat(t.Context(), "t/_delta_log/"+name); err == nil {
			t.Errorf("%s stays", name)
		}
	}
	for _, name := range kept {
		if _, err := d.lake.Stat(t.Context(), "t/_delta_log/"+name); err != nil {
			t.Errorf("%s is gone", name)
		}
	}
	// What names the sidecars cannot be read: all stay.
	put(2, "_sidecars/other.parquet", "x")
	put(20, v(17)+".checkpoint."+two+".json", `{"sidecar":`)
	_, err = d.table.CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if _, err := d.lake.Stat(t.Context(), "t/_delta_log/_sidecars/other.parquet"); err != nil {
		t.Error(err)
	}
}

// TestCleanLogBehindBadCheckpoints: a checkpoint that is damaged, or lies, is none to cut at.
func TestCleanLogBehindBadCheckpoints(t *testing.T) {
	key := func(v int) string { return fmt.Sprintf("t/_delta_log/%020d.checkpoint.parquet", v) }
	other := newDaily(t, 11, map[string]string{"delta.appendOnly": "false"})
	for name, body := range map[string]string{"damaged": "PAR1", "of another table": text(t, other.lake, key(10))} {
		d := newDaily(t, 23, nil)
		putText(t, d.lake, key(10), body)
		done, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
		must(t, err)
		if done.From != 5 {
			t.Errorf("%s: from version %d", name, done.From)
		}
	}
	d := newDaily(t, 23, map[string]string{"delta.checkpointInterval": "100"})
	if done, err := d.table.CleanLog(t.Context(), delta.CleanOptions{}); err != nil || len(done.Objects) > 0 {
		t.Errorf("no checkpoint at all: %+v %v", done, err)
	}
	d = newDaily(t, 23, nil)
	putText(t, d.lake, "t/_delta_log/_last_checkpoint", `{"version":5,"size":9}`)
	_, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if got := text(t, d.lake, "t/_delta_log/_last_checkpoint"); !strings.HasPrefix(got, `{"version":10,`) {
		t.Errorf("the hint points to nothing: %s", got)
	}
}

// TestCleanLogBroken breaks the cleanup at each store operation: the kept versions read as before, and a repeated cleanup
// ends where one that was not broken does.
func TestCleanLogBroken(t *testing.T) {
	small := func() *daily {
		return newDaily(t, 12, map[string]string{"delta.checkpointInterval": "4", "delta.logRetentionDuration": "interval 3 days"})
	}
	d := small()
	count := inject.New(inject.Plan{})
	_, err := d.open(count.Wrap(d.lake)).CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	want := d.names(t)
	for _, plan := range inject.Plans(count.Ops()) {
		d := small()
		before := latest(t, d.table)
		_, _ = d.open(inject.New(plan).Wrap(d.lake)).CleanLog(t.Context(), delta.CleanOptions{})
		sameState(t, before, latest(t, d.table))
		for v := int64(4); v < 12; v++ {
			if _, err := d.table.Snapshot(t.Context(), delta.AsOf{Version: &v}); err != nil {
				t.Errorf("%v: version %d: %v", plan, v, err)
			}
		}
		_, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
		must(t, err)
		if diff := cmp.Diff(want, d.names(t)); diff != "" {
			t.Fatalf("%v:\n%s", plan, diff)
		}
	}
}

// overtaken is told of each read before it takes place.
type overtaken struct {
	store.Store
	before func(key string)
}

func (o overtaken) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	o.before(key)
	return o.Store.Open(ctx, key, r)
}

// TestReadersOvertakenByCleanup: the latest version is read whatever goes away meanwhile; an old one is, or is lost by name.
func TestReadersOvertakenByCleanup(t *testing.T) {
	outcomes := map[bool]map[bool]int{false: {}, true: {}} // by whether the cleanup came in between, and whether there is a snapshot
	for n := 1; n <= 8; n++ {
		for _, asked := range []int64{-1, 3, 9, 22} {
			d := newDaily(t, 23, nil)
			must(t, d.lake.Delete(t.Context(), "t/_delta_log/_last_checkpoint"))
			at := delta.AsOf{Version: &asked}
			if asked < 0 {
				at.Version = nil
			}
			want, err := d.table.Snapshot(t.Context(), at)
			must(t, err)
			for _, v := range []int{15, 20} { // the reader has only old checkpoints to start from
				must(t, d.lake.Delete(t.Context(), fmt.Sprintf("t/_delta_log/%020d.checkpoint.parquet", v)))
			}
			reads := 0
			reader := d.open(overtaken{d.lake, func(key string) {
				if reads++; reads == n {
					_, err := d.table.CleanLog(t.Context(), delta.CleanOptions{})
					must(t, err)
				}
			}})
			s, err := reader.Snapshot(t.Context(), at)
			switch {
			case err == nil:
				sameState(t, want, s)
			case asked != 3 && asked != 9 || fault.KindOf(err) != fault.SourceLost:
				t.Errorf("read %d: version %d: %v (%s)", n, asked, err, fault.KindOf(err))
			}
			outcomes[reads >= n][err == nil]++
		}
	}
	t.Logf("not overtaken: %v; overtaken: %v", outcomes[false], outcomes[true])
	if outcomes[true][true] == 0 || outcomes[true][false] == 0 {
		t.Error("no cleanup was in the way")
	}
}

// TestCleanedLogInDeltaRS: delta-rs reads the latest version, and the oldest that is left, of a log that was cleaned up.
func TestCleanedLogInDeltaRS(t *testing.T) {
	root, table := ourTable(t)
	folder := filepath.Join(root, "t/_delta_log")
	old := time.Now().Add(-100 * 24 * time.Hour)
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, e := range entries {
		must(t, os.Chtimes(filepath.Join(folder, e.Name()), old, old))
	}
	lake, err := localfile.New(root)
	must(t, err)
	done, err := delta.Open(lake, "t", delta.Options{}).CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if done.From != 20 || len(done.Objects) != 21 {
		t.Errorf("from version %d, %d objects", done.From, len(done.Objects))
	}
	for _, v := range []int64{20, 24} {
		s, err := table.Snapshot(t.Context(), delta.AsOf{Version: &v})
		must(t, err)
		compareWithPython(t, s, python(t, "read", filepath.Join(root, "t"), fmt.Sprint(v), "lakestep/app0", "lakestep/app1"))
	}
}
