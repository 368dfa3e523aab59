package dml_test

import (
	"fmt"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
)

// A struct may be called as the table is in conditions: t.x is then the column x, and not the struct's field. By the statistics of the field
// the file would be passed over.
func TestConditionsOnStructsCalledLikeTheTable(t *testing.T) {
	s := schema(field("x", delta.Long), field("t", delta.StructType{Fields: []delta.Field{field("x", delta.Long), field("y", delta.Long)}}))
	r := newRig(t, s, nil, nil)
	r.run(dml.Append{Rows: "SELECT 1 AS x, {'x': 5, 'y': 1} AS t"})
	r.run(dml.Append{Rows: "SELECT 5 AS x, {'x': 1, 'y': 2} AS t"})
	r.run(dml.Append{Rows: "SELECT 7 AS x, {'x': 1, 'y': 3} AS t"})
	r.run(dml.Delete{Where: "t.x = 1"})
	r.run(dml.Delete{Where: "T.y = 3"})
	if got := fmt.Sprint(r.rows("SELECT x FROM t ORDER BY 1")); got != "[[5]]" {
		t.Error(got)
	}
}

// A source's own columns are not taken for those by which its rows are told apart.
func TestMergeSourceWithColumnsOfOurNames(t *testing.T) {
	for column, kind := range map[string]fault.Kind{"rowid": fault.InvalidInput, "_CLAUSE": fault.InvalidInput, "_s": "", "_file": "", "_pos": "", "_row": ""} {
		r := newRig(t, idv(), nil, map[string]string{"delta.enableDeletionVectors": "true"})
		r.run(dml.Append{Rows: "SELECT range AS id, 'old' AS v FROM range(3)"})
		_, err := r.Run(t.Context(), dml.Merge{
			Source: fmt.Sprintf("SELECT * FROM (VALUES (0, 'a', 0), (1, 'b', 0), (7, 'c', 0)) x(id, v, %s)", column), Keys: []string{"id"},
			Matched:    []dml.Clause{{Set: map[string]string{"v": "s.v"}}},
			NotMatched: []dml.Clause{{Set: map[string]string{"id": "s.id", "v": "s.v"}}},
		})
		want := "[[0 a] [1 b] [2 old] [7 c]]"
		if kind != "" {
			want = "[[0 old] [1 old] [2 old]]"
		}
		if err == nil && kind != "" || err != nil && fault.KindOf(err) != kind {
			t.Errorf("%s: %v", column, err)
		}
		r.expect(want)
	}
}

// One row stays one row.
func TestSetToSeveralRows(t *testing.T) {
	several := map[string]string{"v": "unnest(['a', 'b'])"}
	for _, vectors := range []string{"true", "false"} {
		r := newRig(t, idv(), nil, map[string]string{"delta.enableDeletionVectors": vectors})
		r.run(dml.Append{Rows: "SELECT range AS id, 'old' AS v FROM range(3)"})
		for _, op := range []dml.Operation{dml.Update{Set: several, Where: "id = 1"},
			dml.Merge{Source: "SELECT 0 AS id", Keys: []string{"id"}, Matched: []dml.Clause{{Set: several}}}} {
			if _, err := r.Run(t.Context(), op); err == nil {
				t.Errorf("%T with %s: done", op, vectors)
			}
		}
		r.expect("[[0 old] [1 old] [2 old]]")
	}
}

// Behind a deletion vector, what was ordered to be erased would still be in the file.
func TestErasureLeavesNothingBehind(t *testing.T) {
	r := newRig(t, idv(), nil, map[string]string{"delta.enableDeletionVectors": "true"})
	r.run(dml.Append{Rows: "SELECT range AS id, 'secret' AS v FROM range(3)"})
	old := r.snapshot().Files()[0].Path
	r.run(dml.Delete{Where: "id = 1", Erasure: "order 5"})
	files := r.snapshot().Files()
	if len(files) != 1 || files[0].Path == old || files[0].DeletionVector != nil || files[0].Tags[dml.ReplacesTag] != old {
		t.Errorf("%+v", files)
	}
	r.expect("[[0 secret] [2 secret]]")
}
