package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func fields(types ...any) (s delta.Schema) {
	for i := 0; i < len(types); i += 2 {
		s.Fields = append(s.Fields, delta.Field{Name: types[i].(string), Type: types[i+1].(delta.Primitive), Nullable: true})
	}
	return s
}

// Files of one table that have other columns, and columns in another order.
func TestEvolvedColumns(t *testing.T) {
	r := newRig(t, engine.Options{})
	old, reordered := fields("a", delta.Integer, "gone", delta.String), fields("b", delta.String, "a", delta.Integer)
	adds := slices.Concat(r.write(old, "SELECT 1 a, 'x' gone"), r.write(reordered, "SELECT 'y' b, 2 a"))
	now := fields("a", delta.Long, "b", delta.String, "never", delta.Date)
	sc := r.scan(now, adds)
	if got := fmt.Sprint(r.strings("SELECT a, b, never, typeof(a) FROM " + r.relation(sc) + " ORDER BY a")); got != "[[1   BIGINT] [2 y  BIGINT]]" {
		t.Error(got)
	}
	sc.Extra, sc.Position = []string{"gone", "_change_type"}, true
	if got := fmt.Sprint(r.strings("SELECT a, gone, _change_type, _file, _pos FROM " + r.relation(sc) + " ORDER BY a")); got != "[[1 x  0 0] [2   1 0]]" {
		t.Error(got)
	}
}

// A file's name is a name, not a pattern that matches others too.
func TestOddNames(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := fields("n", delta.Integer)
	var adds []delta.Add
	for i, name := range []string{"a?b", "axb", "a*b", "a[x]b", "a b%", "é", "a'b", `a\b`} {
		a := r.write(schema, fmt.Sprintf("SELECT %d n", i))[0]
		must(t, os.Rename(filepath.Join(r.root, "t", a.Path), filepath.Join(r.root, "t", name)))
		a.Path = delta.EncodePath(name)
		adds = append(adds, a)
	}
	sc := r.scan(schema, adds)
	sc.Position = true
	if got := fmt.Sprint(r.strings("SELECT n, _file FROM " + r.relation(sc) + " ORDER BY ALL")); got != "[[0 0] [1 1] [2 2] [3 3] [4 4] [5 5] [6 6] [7 7]]" {
		t.Error(got)
	}
}

func TestRemoteStore(t *testing.T) {
	r := newRig(t, engine.Options{})
	r.store = &remote{Store: mem.New()}
	r.open("t")
	schema := everySchema(t)
	adds := r.write(schema, everyType())
	if got := r.strings("SELECT count(*) FROM " + r.relation(r.scan(schema, adds))); got[0][0] != "6" {
		t.Errorf("%v rows", got)
	}
}

func oracle(t *testing.T, args ...string) []byte {
	t.Helper()
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	out, err := exec.Command(interpreter, append([]string{"testdata/oracle.py"}, args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("%v\n%s", err, failed.Stderr)
	}
	must(t, err)
	return out
}

// delta-rs and pyarrow read the data that was written, and find every value within the bounds in the log.
func TestOthersReadWhatWasWritten(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := everySchema(t)
	query := "SELECT * FROM (" + everyType() + ") WHERE da IS NULL OR da < DATE '10000-01-01'" // Python's dates end there
	long := strings.Repeat("x", 31)
	strs := fields("s", delta.String)
	adds := r.write(schema, query)
	for _, s := range []string{long + "é", long + "😀😀", long + "\U0010ffff\U0010ffffz", long + "\x7f\x7fz", strings.Repeat("é", 300)} {
		adds = append(adds, r.write(strs, "SELECT "+engine.Literal(s)+" AS s UNION ALL SELECT NULL")...)
	}
	r.commit(schema, adds)
	var got struct {
		Schema  json.RawMessage
		Rows    []map[string]any
		Outside []string
	}
	must(t, json.Unmarshal(oracle(t, "read", filepath.Join(r.root, "t")), &got))
	if len(got.Outside) > 0 {
		t.Errorf("outside of the bounds: %q", got.Outside)
	}
	wanted, err := schema.JSON()
	must(t, err)
	var want, have any
	must(t, json.Unmarshal([]byte(wanted), &want))
	must(t, json.Unmarshal(got.Schema, &have))
	if fmt.Sprint(want) != fmt.Sprint(have) {
		t.Errorf("schema %v, want %v", have, want)
	}
	byKey := map[string]map[string]any{}
	for _, row := range got.Rows {
		byKey[fmt.Sprint(row["s"])] = row
	}
	if len(got.Rows) != 15 {
		t.Errorf("%d rows", len(got.Rows))
	}
	for key, want := range map[string]map[string]string{
		"é😀": {"l": "9.223372036854775807e+18", "da": "0001-01-01", "ts": "0001-01-01 00:00:00.000001+00:00", "d38": "9999999999999999999999999999.9999999999", "d5": "0.99999", "bi": "00ff", "arr": "[]", "mp": "[]"},
		"":   {"d4": "1.5", "d18": "1.125", "st": "map[x:1 y:[a <nil>] z:map[w:2020-01-01]]", "mp": "[[k 1.50] [l <nil>]]", "nest": "[map[p:[1]]]", "bi": ""},
		"y":  {"ts": "1969-12-31 23:59:59.999999+00:00", "da": "1969-12-31", "bi": "<nil>", "arr": "<nil>"},
	} {
		for c, w := range want {
			v := byKey[key][c]
			if have := fmt.Sprint(v); have != w && !(c == "l" && strings.HasPrefix(have, "9.22337203685477")) {
				t.Errorf("row %q, column %s: %s, want %s", key, c, have, w)
			}
		}
	}
}

// A table that delta-rs wrote: partition columns come from the log, a column that came later is NULL before.
func TestForeignTable(t *testing.T) {
	r := newRig(t, engine.Options{})
	oracle(t, "write", filepath.Join(r.root, "foreign"))
	r.open("foreign")
	snap, err := r.table.Snapshot(t.Context(), delta.AsOf{})
	must(t, err)
	rel := r.relation(engine.Scan{Store: r.store, Table: r.table, Schema: snap.Schema(), Partition: snap.Metadata().PartitionColumns, Files: engine.Files(snap.Files())})
	got := fmt.Sprint(r.strings("SELECT n, coalesce(p, 'NULL'), coalesce(d::VARCHAR, 'NULL'), late::VARCHAR, typeof(d) FROM " + rel + " ORDER BY n"))
	if want := "[[1 a b 1969-12-31  DATE] [2 100% 1969-12-31  DATE] [3 NULL 1969-12-31  DATE] [4 x/y 1969-12-31  DATE] [5 é?*[1] 1969-12-31  DATE] [6 a b NULL 1.50 DATE]]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
