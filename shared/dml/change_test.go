package dml_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
)

func idv() delta.Schema { return schema(field("id", delta.Long), field("v", delta.String)) }

// expect compares all rows, in the order of their first column.
func (r *rig) expect(want string) {
	r.t.Helper()
	if got := fmt.Sprint(r.rows("SELECT COLUMNS(*)::VARCHAR FROM t ORDER BY t.id, 2")); got != want {
		r.t.Errorf("rows %s, want %s", got, want)
	}
}

// feed is the change data of a version: cdc files, in words.
func (r *rig) feed(version int64) string {
	r.t.Helper()
	for c, err := range r.Delta.Changes(r.t.Context(), version-1, version) {
		must(r.t, err)
		if len(c.CDC) == 0 {
			return ""
		}
		var files []string
		other := "v"
		if len(r.snapshot().Metadata().PartitionColumns) > 0 {
			other = "''"
		}
		for _, f := range c.CDC {
			files = append(files, r.root+"/t/"+f.Path)
		}
		rows, err := r.Session.Strings(r.t.Context(), fmt.Sprintf("SELECT _change_type || ' ' || id || coalesce(%s, '-') FROM read_parquet(['%s']) ORDER BY id, 1 DESC", other, strings.Join(files, "', '")))
		must(r.t, err)
		return fmt.Sprint(rows)
	}
	return ""
}

var modes = map[string]map[string]string{
	"copy on write":    {"delta.enableChangeDataFeed": "true"},
	"deletion vectors": {"delta.enableChangeDataFeed": "true", "delta.enableDeletionVectors": "true"},
}

func TestDeleteAndUpdate(t *testing.T) {
	for name, properties := range modes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, idv(), nil, properties)
			r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(5)"})
			r.run(dml.Append{Rows: "SELECT 10 + range AS id, 'b' AS v FROM range(3)"})
			untouched := r.snapshot().Prune(delta.Predicate{Op: delta.OpLt, Column: []string{"id"}, Values: []string{"5"}}).Files[0]
			vectors := int64(len(properties) - 1) // 1 where the table has them
			res := r.run(dml.Delete{Where: "id = 11"})
			if m := res.Metrics; m["numDeletionVectorsAdded"] != vectors || m["numAddedFiles"] != 1-vectors || m["numCopiedRows"] != 2-2*vectors {
				t.Errorf("%v", m)
			}
			r.expect("[[0 a] [1 a] [2 a] [3 a] [4 a] [10 b] [12 b]]")
			if res.Metrics["numDeletedRows"] != 1 || r.feed(res.Version) != "[[delete 11b]]" {
				t.Errorf("%v, feed %s", res, r.feed(res.Version))
			}
			if !strings.Contains(fmt.Sprint(r.snapshot().Files()), untouched.Path) {
				t.Error("a file without a match was written anew")
			}
			res = r.run(dml.Update{Set: map[string]string{"v": "v || id", "id": "id + 100"}, Where: "id IN (1, 12)"})
			r.expect("[[0 a] [2 a] [3 a] [4 a] [10 b] [101 a1] [112 b12]]")
			if got := r.feed(res.Version); res.Metrics["numUpdatedRows"] != 2 ||
				got != "[[update_preimage 1a] [update_preimage 12b] [update_postimage 101a1] [update_postimage 112b12]]" {
				t.Errorf("%v, feed %s", res, got)
			}
			res = r.run(dml.Delete{Where: "v LIKE 'b%'"}) // all rows of a file; with vectors also one of the file of updated rows
			r.expect("[[0 a] [2 a] [3 a] [4 a] [101 a1]]")
			if m := res.Metrics; m["numRemovedFiles"] != 1 || m["numAddedFiles"] != 0 || m["numDeletionVectorsAdded"] != vectors || m["numAddedChangeFiles"] != vectors {
				t.Errorf("%v", m)
			}
			r.run(dml.Update{Set: map[string]string{"v": "v"}})
			if n := r.snapshot().NumFiles(); n != 1 {
				t.Errorf("%d files: one without rows has stayed", n)
			}
			before := r.snapshot().Version()
			if res := r.run(dml.Delete{Where: "id = 999"}); res.Version != before {
				t.Errorf("nothing to delete made version %d", res.Version)
			}
			r.run(dml.Delete{})
			r.expect("[]")
			if n := r.snapshot().NumFiles(); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	for name, properties := range modes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, idv(), nil, properties)
			r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(5)"})
			r.run(dml.Append{Rows: "SELECT 10 + range AS id, 'b' AS v FROM range(3)"})
			res := r.run(dml.Merge{
				Source:  "SELECT * FROM (VALUES (1, 'x'), (2, 'drop'), (11, 'y'), (20, 'new'), (21, 'skip'), (NULL, 'null')) s(id, v)",
				Keys:    []string{"id"},
				Matched: []dml.Clause{{When: "s.v = 'drop'", Delete: true}, {}},
				NotMatched: []dml.Clause{
					{When: "s.v = 'null'", Set: map[string]string{"id": "-1"}},
					{When: "s.v <> 'skip'"},
				},
			})
			r.expect("[[-1 ] [0 a] [1 x] [3 a] [4 a] [10 b] [11 y] [12 b] [20 new]]")
			want := "[[insert -1-] [update_preimage 1a] [update_postimage 1x] [delete 2a] [update_preimage 11b] [update_postimage 11y] [insert 20new]]"
			if got := r.feed(res.Version); got != want {
				t.Errorf("feed %s, want %s", got, want)
			}
			m := res.Metrics
			if m["numTargetRowsInserted"] != 2 || m["numTargetRowsUpdated"] != 2 || m["numTargetRowsDeleted"] != 1 || m["numSourceRows"] != 6 {
				t.Errorf("metrics %v", m)
			}
			r.run(dml.Merge{
				Source: "SELECT 1 AS k", On: "t.id = s.k AND t.v = 'x'",
				NotMatchedBySource: []dml.Clause{{When: "t.id > 10", Delete: true}, {When: "t.id < 4", Set: map[string]string{"v": "'alone'"}}},
			})
			r.expect("[[-1 alone] [0 alone] [1 x] [3 alone] [4 a] [10 b]]")
			_, err := r.Run(t.Context(), dml.Merge{Source: "SELECT * FROM (VALUES (1, 'p'), (1, 'q')) s(id, v)", Keys: []string{"id"}, Matched: []dml.Clause{{}}})
			if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "'v': p") || !strings.Contains(err.Error(), "'v': q") {
				t.Error(err)
			}
		})
	}
}

// Rows come, change and go by their places, in one commit whose change data tells of all three.
func TestReplace(t *testing.T) {
	for name, properties := range modes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, idv(), nil, properties)
			r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(4)"})
			r.run(dml.Append{Rows: "SELECT 10 + range AS id, 'b' AS v FROM range(2)"})
			files := map[int64]int{} // by the rows in them
			for i, f := range r.snapshot().Files() {
				stats, _ := delta.ParseStats(f.Stats)
				files[stats.NumRecords] = i
			}
			place := func(rows int64, pos int, more string) string {
				return fmt.Sprintf("SELECT %d::BIGINT AS _file, %d::BIGINT AS _pos%s", files[rows], pos, more)
			}
			res := r.run(dml.Replace{Schema: idv(), Inserts: "SELECT 20 AS id, 'new' AS v", Updates: place(4, 1, ", 1 AS id, 'x' AS v"),
				Deletes: place(4, 2, "") + " UNION ALL " + place(2, 0, "") + " UNION ALL " + place(2, 1, "")})
			r.expect("[[0 a] [1 x] [3 a] [20 new]]")
			want := "[[update_preimage 1a] [update_postimage 1x] [delete 2a] [delete 10b] [delete 11b] [insert 20new]]"
			if m := res.Metrics; r.feed(res.Version) != want || m["numTargetRowsDeleted"] != 3 || m["numTargetRowsUpdated"] != 1 || m["numTargetRowsInserted"] != 1 {
				t.Errorf("%v, feed %s, want %s", res, r.feed(res.Version), want)
			}
		})
	}
}

// Rows keep their order when a file is written anew, so that a clustered file stays one.
func TestRewriteKeepsOrder(t *testing.T) {
	r := newRig(t, idv(), nil, nil)
	r.run(dml.Append{Rows: "SELECT range AS id, md5(range::VARCHAR) AS v FROM range(400000) ORDER BY v"})
	order := func() [][]string {
		out, err := r.Session.Strings(t.Context(), fmt.Sprintf(
			"SELECT count(*), md5(string_agg(id, ',' ORDER BY file_row_number)) FROM read_parquet('%s/t/%s', file_row_number = true) WHERE id %% 1000 <> 8",
			r.root, r.snapshot().Files()[0].Path))
		must(t, err)
		return out
	}
	before := order()
	r.run(dml.Update{Set: map[string]string{"v": "'x'"}, Where: "id % 1000 = 7"})
	r.run(dml.Delete{Where: "id % 1000 = 8"})
	got := r.rows("SELECT count(*), count(*) FILTER (v = 'x') FROM t")
	if after := order(); fmt.Sprint(got) != "[[399600 400]]" || fmt.Sprint(after) != fmt.Sprint(before) || r.snapshot().NumFiles() != 1 {
		t.Error(got, before, after, r.snapshot().NumFiles())
	}
}

func TestOverwriteParts(t *testing.T) {
	for name, properties := range modes {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, schema(field("id", delta.Long), field("v", delta.String)), []string{"v"}, properties)
			r.run(dml.Append{Rows: "SELECT * FROM (VALUES (1, 'a'), (2, 'a'), (3, 'b/=%'), (4, NULL)) x(id, v)"})
			res := r.run(dml.Overwrite{Rows: "SELECT 9 AS id, 'a' AS v", Where: "v = 'a' AND id > 1 OR id = 9"})
			r.expect("[[1 a] [3 b/=%] [4 ] [9 a]]")
			if got := r.feed(res.Version); !strings.Contains(got, "delete 2") || !strings.Contains(got, "insert 9") {
				t.Errorf("feed %s", got)
			}
			_, err := r.Run(t.Context(), dml.Overwrite{Rows: "SELECT 9 AS id, 'c' AS v", Where: "v = 'a'"})
			if fault.KindOf(err) != fault.SchemaBroken || !strings.Contains(err.Error(), "'id': 9, 'v': c") {
				t.Error(err)
			}
			r.run(dml.Overwrite{Rows: "SELECT * FROM (VALUES (5, NULL), (6, 'new')) x(id, v)", Partitions: true})
			r.expect("[[1 a] [3 b/=%] [5 ] [6 new] [9 a]]")
			r.run(dml.Overwrite{Rows: "SELECT 7 AS id, 'z' AS v"})
			r.expect("[[7 z]]")
		})
	}
}

// A partition is the same one, however another engine wrote its value.
func TestPartitionsOfOthersAreReplaced(t *testing.T) {
	r := newRig(t, schema(field("id", delta.Long), field("at", delta.Timestamp)), []string{"at"}, nil)
	r.run(dml.Append{Rows: "SELECT 1 AS id, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at"})
	file := r.snapshot().Files()[0]
	theirs := file
	text := "2026-01-01 00:00:00"
	theirs.Path, theirs.PartitionValues = "theirs.parquet", map[string]*string{"at": &text}
	must(t, os.Rename(filepath.Join(r.root, "t", file.Path), filepath.Join(r.root, "t", theirs.Path)))
	_, err := r.snapshot().Begin(delta.Operation{Name: "WRITE"}).Remove(true, file).Add(theirs).Commit(t.Context())
	must(t, err)
	r.run(dml.Overwrite{Rows: "SELECT 2 AS id, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS at", Partitions: true})
	r.expect("[[2 2026-01-01 00:00:00+00]]")
}

// Whoever has not read a file yet from which rows were erased finds the one to read instead.
func TestErasureSaysWhatItReplaces(t *testing.T) {
	r := newRig(t, idv(), nil, nil)
	r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(5)"})
	old := r.snapshot().Files()[0]
	res := r.run(dml.Delete{Where: "id = 3", Erasure: "case 7"})
	commits := 0
	for c, err := range r.Delta.Changes(t.Context(), res.Version-1, res.Version) {
		must(t, err)
		commits++
		if id, ok := c.Erasure(); !ok || id != "case 7" || len(c.Adds) != 1 || c.Adds[0].Tags[dml.ReplacesTag] != old.Path {
			t.Errorf("%q, %+v", id, c.Adds)
		}
	}
	if commits != 1 {
		t.Errorf("%d commits", commits)
	}
}

// The feed tells of the rows that were written, though the query gives others each time.
func TestFeedOfARandomQuery(t *testing.T) {
	r := newRig(t, idv(), nil, modes["copy on write"])
	r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(5)"})
	res := r.run(dml.Overwrite{Rows: "SELECT 9 AS id, uuid()::VARCHAR AS v", Where: "id IN (1, 9)"})
	written := r.rows("SELECT v FROM t WHERE id = 9")[0][0]
	if want := "[[delete 1a] [insert 9" + written + "]]"; r.feed(res.Version) != want {
		t.Errorf("feed %s, want %s", r.feed(res.Version), want)
	}
}

// Clustering columns have statistics, whatever the table's properties say.
func TestClusteredColumnsHaveStatistics(t *testing.T) {
	r := newRig(t, idv(), nil, map[string]string{"delta.dataSkippingNumIndexedCols": "1"})
	snap := r.snapshot()
	p := snap.Protocol()
	p.MinWriterVersion, p.WriterFeatures = 7, []string{"clustering", "domainMetadata", "appendOnly", "invariants"}
	domain, err := delta.Clustering([]string{"v"})
	must(t, err)
	_, err = snap.Begin(delta.Operation{Name: "CLUSTER BY"}).SetProtocol(p).SetDomain(domain).Commit(t.Context())
	must(t, err)
	r.run(dml.Append{Rows: "SELECT 1 AS id, 'a' AS v"})
	if got := r.snapshot().Files()[0].Stats; !strings.Contains(got, `"minValues":{"id":1,"v":"a"}`) {
		t.Error(got)
	}
}
