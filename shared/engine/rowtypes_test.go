package engine_test

import (
	"testing"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// RowTypes says what the rows are, not what a table of them would be.
func TestRowTypes(t *testing.T) {
	r := newRig(t, engine.Options{})
	got, err := r.RowTypes(t.Context(), `SELECT NULL AS n, TIMESTAMP '2020-01-01' AS ntz, now() AS ts, 1.5 AS d, 1::TINYINT AS b, [] AS e,
		{'a b': 1, 'q"x': [MAP {'k': {'z': NULL, 'y': DATE '2020-01-01'}}], c: [[1.5]]} AS st, error('not run') AS never -- a comment`)
	must(t, err)
	want := `struct<n:void,ntz:timestamp_ntz,ts:timestamp,d:decimal(2,1),b:byte,e:array<void>,` +
		`st:struct<a b:integer,q"x:array<map<string,struct<z:void,y:date>>>,c:array<array<decimal(2,1)>>>,never:void>`
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, query := range []string{"1::HUGEINT", "1::UTINYINT", "{'a': [TIME '01:00:00']}", "TIMESTAMP_NS '2020-01-01'", "'a'::ENUM('a', 'b')", "array_value(1, 2)", "INTERVAL 1 DAY", "uuid()"} {
		if got, err := r.RowTypes(t.Context(), "SELECT "+query+" AS x"); fault.KindOf(err) != fault.SchemaBroken {
			t.Errorf("%s: %v, %v", query, got, err)
		}
	}
}
