package dml_test

import (
	"fmt"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
)

func TestAppendAndOverwrite(t *testing.T) {
	r := newRig(t, schema(field("id", delta.Long), field("v", delta.String)), nil, nil)
	r.run(dml.Append{Rows: "SELECT 'a' AS v, 1 AS id UNION ALL SELECT 'b', 2"})
	r.run(dml.Append{Rows: "SELECT 3 AS id, 'c' AS v"})
	if got := fmt.Sprint(r.rows("SELECT id, v FROM t ORDER BY id")); got != "[[1 a] [2 b] [3 c]]" {
		t.Error(got)
	}
	res := r.run(dml.Overwrite{Rows: "SELECT 4 AS id, 'd' AS v"})
	if got := fmt.Sprint(r.rows("SELECT id, v FROM t ORDER BY id")); got != "[[4 d]]" || res.Version != 3 || res.Metrics["numOutputRows"] != 1 {
		t.Error(got, res)
	}
	if res := r.run(dml.Append{Rows: "SELECT 1 AS id, 'x' AS v WHERE false"}); res.Version != 3 {
		t.Errorf("no rows made version %d", res.Version)
	}
}
