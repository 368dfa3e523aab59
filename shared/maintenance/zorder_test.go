package maintenance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// After z-ordering by two columns, a range of either is in a part of the files only: evenly, in about the square root of their number.
func TestZOrderBringsRowsTogether(t *testing.T) {
	r := newRig(t, nil, nil, "a", delta.Long, "b", delta.String, "c", delta.Double)
	for i := range 4 {
		r.append(fmt.Sprintf("SELECT CAST(random() * 100000 AS BIGINT) AS a, lpad(CAST(CAST(random() * 100000 AS BIGINT) AS VARCHAR), 6, '0') AS b, random() AS c FROM range(%d)", 250_000+i))
	}
	must(t, r.Session.Exec(t.Context(), "SET threads = 1")) // of several, it depends on their luck where COPY begins a new file
	before := r.digest()
	out := optimize(t, r, maintenance.OptimizeOptions{ZOrder: []string{"a", "b"}, TargetBytes: r.snapshot().Size() / 10}) // less than a row group
	snap := r.snapshot()
	if r.digest() != before || out.Batches != 1 || snap.NumFiles() < 6 {
		t.Fatalf("%s, then %s; %+v, %d files", before, r.digest(), out, snap.NumFiles())
	}
	for _, column := range []string{"a", "b"} {
		hit := 0
		for _, f := range snap.Files() {
			rows, err := r.Session.Strings(t.Context(), fmt.Sprintf("SELECT count(*) FROM (SELECT min(CAST(%[1]s AS BIGINT)) AS lo, max(CAST(%[1]s AS BIGINT)) AS hi FROM %[2]s) WHERE lo <= 31000 AND hi >= 30000", column, r.relation([]delta.Add{f})))
			must(t, err)
			if rows[0][0] == "1" {
				hit++
			}
		}
		if hit > snap.NumFiles()*2/3 {
			t.Errorf("a range of %s is in %d of %d files", column, hit, snap.NumFiles())
		}
	}
}

// Every type that can be compared orders rows, NULL and NaN included, and none is lost.
func TestZOrderByAnyType(t *testing.T) {
	inner := delta.StructType{Fields: []delta.Field{{Name: "x", Type: delta.Integer, Nullable: true}}}
	values := []any{
		"bool", delta.Boolean, "byte", delta.Byte, "long", delta.Long, "dec", delta.Primitive("decimal(20,3)"), "flo", delta.Float, "dbl", delta.Double,
		"txt", delta.String, "bin", delta.Binary, "dat", delta.Date, "ts", delta.Timestamp, "s", inner,
	}
	r := newRig(t, nil, nil, values...)
	for i := range 3 {
		r.append(fmt.Sprintf(`SELECT CASE WHEN i %% 7 = 0 THEN NULL ELSE i %% 2 = 0 END AS bool, i %% 100 AS byte, i * 1000003 AS long, i / 7 AS dec,
			CASE i %% 5 WHEN 0 THEN 'nan'::FLOAT WHEN 1 THEN '-inf'::FLOAT ELSE i END AS flo, CASE i %% 5 WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN '-0'::DOUBLE ELSE -i END AS dbl,
			CASE i %% 3 WHEN 0 THEN '' WHEN 1 THEN 'it''s' || chr(CAST(1 + i * 31 AS INTEGER)) ELSE NULL END AS txt, encode(CAST(i AS VARCHAR)) AS bin,
			DATE '1969-01-01' + CAST(i AS INTEGER) AS dat, TIMESTAMPTZ '1960-01-01 00:00:00+00' + INTERVAL (i) DAY AS ts, struct_pack(x := i) AS s
			FROM range(%d, %d) t(i)`, i*500, (i+1)*500))
	}
	before := r.digest()
	for i := 0; i < len(values); i += 2 {
		name := values[i].(string)
		if name == "s" {
			name = "s.x"
		}
		out := optimize(t, r, maintenance.OptimizeOptions{ZOrder: []string{name}})
		if out.Batches != 1 || r.digest() != before {
			t.Errorf("%s: %+v, %s", name, out, r.digest())
		}
	}
	optimize(t, r, maintenance.OptimizeOptions{ZOrder: []string{"txt", "dec", "bool", "dbl", "ts", "bin"}})
	if r.digest() != before {
		t.Errorf("by six: %s", r.digest())
	}
}

// A z-ordered set is left alone until what is new beside it is half as large; then both are one set.
func TestZOrderGoesOn(t *testing.T) {
	r := newRig(t, nil, nil, "a", delta.Long)
	o := maintenance.OptimizeOptions{ZOrder: []string{"a"}}
	add := func(n int) { r.append(fmt.Sprintf("SELECT CAST(random() * 1e15 AS BIGINT) AS a FROM range(%d)", n)) }
	var sets []int
	for i, n := range []int{9000, 1000, 1000, 1000, 4000} {
		add(n)
		out := optimize(t, r, o)
		if out.Rows > 17000 || out.Batches != 1 {
			t.Errorf("%d: %+v", i, out)
		}
		sets = append(sets, r.snapshot().NumFiles())
		if again := optimize(t, r, o); again.Batches != 0 {
			t.Errorf("%d again: %+v", i, again)
		}
	}
	if want := []int{1, 2, 2, 2, 1}; !slices.Equal(sets, want) {
		t.Errorf("files %v, want %v", sets, want)
	}
	if out := optimize(t, r, maintenance.OptimizeOptions{}); out.Batches != 0 {
		t.Errorf("packed an ordered set: %+v", out)
	}
}

func TestZOrderRefuses(t *testing.T) {
	r := newRig(t, []string{"p"}, nil, "a", delta.Long, "p", delta.String, "l", delta.ArrayType{Element: delta.Long})
	for _, tt := range []struct{ column, want string }{
		{"b", "no column b"}, {"a.b", "no column"}, {"p", "partition column"}, {"l", "no order"}, {"a,a", "twice"},
	} {
		_, err := maintenance.Optimize(t.Context(), r.Table, maintenance.OptimizeOptions{ZOrder: strings.Split(tt.column, ",")})
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.column, err)
		}
	}
}
