package maintenance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/maintenance"
)

func check(t *testing.T, r *rig) maintenance.Checked {
	t.Helper()
	out, err := maintenance.Check(t.Context(), r.Table, maintenance.CheckOptions{Deep: true})
	must(t, err)
	return out
}

// A sound table has no findings, with every type and every odd value.
func TestCheckFindsNothingInASoundTable(t *testing.T) {
	inner := delta.StructType{Fields: []delta.Field{{Name: "x", Type: delta.Integer, Nullable: true}, {Name: "t", Type: delta.Timestamp, Nullable: true}}}
	r := newRig(t, nil, nil, "i", delta.Integer, "d", delta.Primitive("decimal(20,3)"), "f", delta.Double, "s", delta.String, "b", delta.Binary,
		"dt", delta.Date, "ts", delta.Timestamp, "o", delta.Boolean, "st", inner, "l", delta.ArrayType{Element: delta.Long, ContainsNull: true})
	r.append(`SELECT i, i / 7 AS d, CASE WHEN i = 3 THEN 'nan'::DOUBLE WHEN i = 4 THEN 'inf'::DOUBLE ELSE i / 3 END AS f,
		repeat(chr(CAST(i + 100 AS INTEGER)), CAST(i AS INTEGER)) AS s, encode('x') AS b, DATE '1969-12-30' + CAST(i AS INTEGER) AS dt,
		TIMESTAMPTZ '1969-12-31 23:59:59.999999+00' + INTERVAL (i * 1001) MICROSECOND AS ts, i % 2 = 0 AS o,
		CASE WHEN i % 3 = 0 THEN NULL ELSE struct_pack(x := i, t := TIMESTAMPTZ '2020-01-01 00:00:00.123456+00') END AS st, [i, NULL] AS l FROM range(200) t(i)`)
	r.append("SELECT NULL AS i, NULL AS d, NULL AS f, NULL AS s, NULL AS b, NULL AS dt, NULL AS ts, NULL AS o, NULL AS st, NULL AS l")
	r.append("SELECT 1 AS i, -0.001 AS d, '-0'::DOUBLE AS f, '' AS s, NULL AS b, DATE '9999-12-31' AS dt, NULL AS ts, NULL AS o, NULL AS st, NULL AS l")
	if got := check(t, r); len(got.Findings) != 0 || got.Files != 3 || got.Version != 3 {
		t.Errorf("%+v", got)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	live := func(r *rig) delta.Add { return r.snapshot().Files()[0] }
	lie := func(old, new string) func(*rig) {
		return func(r *rig) {
			a := live(r)
			b := a
			b.Stats, b.DataChange = strings.Replace(a.Stats, old, new, 1), false
			if b.Stats == a.Stats {
				panic("nothing changed in " + a.Stats)
			}
			_, err := r.snapshot().Begin(delta.Operation{Name: "LIE"}).Add(b).Commit(t.Context())
			must(t, err)
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(r *rig)
		want  string // kind, and part of what
	}{
		{"file gone", func(r *rig) { must(t, os.Remove(filepath.Join(r.root, "t", live(r).Path))) }, "missing-file: not there"},
		{"file cut off", func(r *rig) { must(t, os.Truncate(filepath.Join(r.root, "t", live(r).Path), 50)) }, "wrong-size: 50 bytes"},
		{"file overwritten", func(r *rig) {
			must(t, os.WriteFile(filepath.Join(r.root, "t", live(r).Path), make([]byte, live(r).Size), 0o644))
		}, "unreadable-file: cannot be read"},
		{"foreign", func(r *rig) { r.put("sub/foreign.parquet", time.Hour) }, "foreign-file: 1h0m0s old"},
		{"log gap", func(r *rig) {
			r.append("SELECT 9 AS i, 'x' AS s, NULL AS ts")
			must(t, os.Remove(filepath.Join(r.root, "t/_delta_log", fmt.Sprintf("%020d.json", 1))))
		}, "log: commit 1 is missing"},
		{"checksum file", func(r *rig) { r.put(fmt.Sprintf("_delta_log/%020d.crc", 1), 0) }, "log: checksum file is damaged"},
		{"rows", lie(`"numRecords":3`, `"numRecords":2`), "wrong-stats: 3 rows, and 2"},
		{"least number", lie(`"i":1`, `"i":2`), "wrong-stats: column i is at least 2: not true of 1"},
		{"greatest number", lie(`"i":3`, `"i":2`), "wrong-stats: column i is at most 2: not true of 1"},
		{"greatest text", lie(`"s":"z"`, `"s":"y"`), "wrong-stats: column s is at most y"},
		{"least time", lie(`T00:00:01.000Z`, `T00:00:01.001Z`), "wrong-stats: column ts is at least"},
		{"no number", lie(`"i":1`, `"i":"one"`), "wrong-stats: column i is at least one: not true of 3"},
		{"nulls", lie(`"i":0`, `"i":1`), "wrong-stats: 1 NULLs in column i"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil, nil, "i", delta.Long, "s", delta.String, "ts", delta.Timestamp)
			r.append("SELECT i, chr(CAST(119 + i AS INTEGER)) AS s, TIMESTAMPTZ '2020-01-01 00:00:00+00' + INTERVAL (i) SECOND AS ts FROM range(1, 4) t(i)")
			tt.spoil(r)
			got := check(t, r)
			kind, what, _ := strings.Cut(tt.want, ": ")
			if len(got.Findings) == 0 || string(got.Findings[0].Kind) != kind || !strings.Contains(got.Findings[0].What, what) || got.Findings[0].Hint == "" {
				t.Fatalf("%+v, want %s", got.Findings, tt.want)
			}
			if got.Damaged() != (kind != "foreign-file") {
				t.Errorf("damaged: %v", got.Damaged())
			}
		})
	}
}

// cutVector spoils the deletion vector that is in the table's own folder.
func cutVector(r *rig) {
	r.t.Helper()
	for _, a := range r.snapshot().Files() {
		if a.DeletionVector != nil && a.DeletionVector.StorageType == "u" {
			key, err := r.Delta.VectorKey(a.DeletionVector)
			must(r.t, err)
			must(r.t, os.Truncate(filepath.Join(r.root, key), 5))
			return
		}
	}
	r.t.Fatal("there is no deletion vector")
}

func found(c maintenance.Checked) (out []string) {
	for _, f := range c.Findings {
		out = append(out, fmt.Sprintf("%s %v: %s", f.Kind, f.Damage, f.What))
	}
	return out
}

func TestCheckLooksAtDeletionVectors(t *testing.T) {
	newTable := func(t *testing.T) *rig {
		r := newRig(t, nil, map[string]string{"delta.enableDeletionVectors": "true"}, "i", delta.Long)
		r.append("SELECT i FROM range(3) t(i)")
		_, err := r.Run(t.Context(), dml.Delete{Where: "i = 2"})
		must(t, err)
		return r
	}
	r := newTable(t)
	if got := found(check(t, r)); len(got) != 0 {
		t.Errorf("sound: %q", got)
	}
	a := r.snapshot().Files()[0]
	a.Stats, a.DataChange = strings.Replace(a.Stats, `"numRecords":3`, `"numRecords":2`, 1), false
	_, err := r.snapshot().Begin(delta.Operation{Name: "LIE"}).Add(a).Commit(t.Context())
	must(t, err)
	if got := found(check(t, r)); len(got) != 2 || !strings.HasPrefix(got[0], "deletion-vector true: its deletion vector deletes row 2, and the file has 2 rows") {
		t.Errorf("beyond the file: %q", got)
	}
	r = newTable(t)
	cutVector(r)
	if got := found(check(t, r)); len(got) != 1 || !strings.HasPrefix(got[0], "deletion-vector true: ") {
		t.Errorf("cut off: %q", got)
	}
}

// What a clone names elsewhere is not looked at where it cannot be found; what is its own is.
func TestCheckOfACloneAlone(t *testing.T) {
	r := newRig(t, nil, map[string]string{"delta.enableDeletionVectors": "true"}, "id", delta.Long)
	for _, ids := range []string{"range(5)", "range(5, 10)"} {
		r.append("SELECT i AS id FROM " + ids + " t(i)")
	}
	_, err := r.Run(t.Context(), dml.Delete{Where: "id = 3"})
	must(t, err)
	_, err = maintenance.Clone(t.Context(), r.Table, r.beside("c"), maintenance.CloneOptions{URI: r.uri})
	must(t, err)
	r.Table.Delta = r.beside("c")
	_, err = r.Run(t.Context(), dml.Delete{Where: "id = 7"})
	must(t, err)
	r.Table.Delta = delta.Open(r.Store, "c", delta.Options{Now: r.Now})
	outside := "outside-file false: the file is not below the table's folder, and was not looked at"
	if got := found(check(t, r)); !slices.Equal(got, []string{outside, outside}) {
		t.Errorf("sound: %q", got)
	}
	cutVector(r)
	if got := check(t, r); !got.Damaged() || len(got.Findings) != 3 {
		t.Errorf("cut off: %q", found(got))
	}
}
