package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// file makes a Parquet file of a query, as another engine might have.
func (r *rig) file(name, query, options string) engine.File {
	r.t.Helper()
	path := filepath.Join(r.root, "t", name)
	must(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	r.exec("COPY (" + query + ") TO " + engine.Literal(path) + " (FORMAT parquet" + options + ")")
	info, err := os.Stat(path)
	must(r.t, err)
	return engine.File{Path: delta.EncodePath(name), Size: info.Size()}
}

func parsed(t *testing.T, fields string) delta.Schema {
	t.Helper()
	s, err := delta.ParseSchema(`{"type":"struct","fields":[` + fields + `]}`)
	must(t, err)
	return s
}

// field is a field's JSON; typ is JSON, too.
func field(name, typ, metadata string) string {
	return fmt.Sprintf(`{"name":%q,"type":%s,"nullable":true,"metadata":{%s}}`, name, typ, metadata)
}

func structOf(fields ...string) string {
	return `{"type":"struct","fields":[` + strings.Join(fields, ",") + `]}`
}

func arrayOf(element string) string {
	return `{"type":"array","containsNull":true,"elementType":` + element + `}`
}

func mapOf(key, value string) string {
	return `{"type":"map","valueContainsNull":true,"keyType":` + key + `,"valueType":` + value + `}`
}

// Whatever the files hold is read as the schema has it now, or refused with the file's and the column's name.
func TestShapesOfFiles(t *testing.T) {
	const long, integer, str = `"long"`, `"integer"`, `"string"`
	for _, tt := range []struct {
		name    string
		fields  string
		queries []string
		want    string // rows in order, or what the refusal says
	}{
		{"struct: added, dropped, reordered, widened, missing", field("s", structOf(field("a", long, ""), field("b", str, ""), field("c", `"date"`, "")), ""),
			[]string{"SELECT {'b': 'x', 'gone': 1, 'a': 1::INT} s", "SELECT NULL::STRUCT(a INT) s", "SELECT 1 other", "SELECT {'a': NULL::INT} s"},
			"[] [] [{'a': 1, 'b': x, 'c': NULL}] [{'a': NULL, 'b': NULL, 'c': NULL}]"},
		{"array of arrays of structs", field("l", arrayOf(arrayOf(structOf(field("a", long, ""), field("n", str, "")))), ""),
			[]string{"SELECT [[{'a': 1::INT}, NULL], NULL, []] l"}, "[[[{'a': 1, 'n': NULL}, NULL], NULL, []]]"},
		{"map: key and value widened", field("m", mapOf(long, structOf(field("v", `"double"`, ""), field("w", str, ""))), ""),
			[]string{"SELECT MAP {1::INT: {'v': 0.5::FLOAT}, 2::INT: NULL} m", "SELECT NULL::MAP(INT, STRUCT(v FLOAT)) m"}, "[] [{1={'v': 0.5, 'w': NULL}, 2=NULL}]"},
		{"integers of another width", field("i", `"byte"`, ""), []string{"SELECT 127::BIGINT i", "SELECT 1::UINTEGER i"}, "[1] [127]"},
		{"an integer that does not fit", field("i", `"byte"`, ""), []string{"SELECT 128::BIGINT i"}, "128"},
		{"decimals", field("d", `"decimal(12,3)"`, ""), []string{"SELECT 1.25::DECIMAL(5,2) d", "SELECT 7::INT d"}, "[1.250] [7.000]"},
		{"a decimal that would be cut", field("d", `"decimal(12,1)"`, ""), []string{"SELECT 1.25::DECIMAL(5,2) d"}, "column d: it is a DECIMAL(5,2)"},
		{"date as timestamp_ntz, milliseconds", field("t", `"timestamp_ntz"`, ""), []string{"SELECT DATE '1500-01-01' t", "SELECT '2020-01-01 00:00:00.123'::TIMESTAMP_MS t"},
			"[1500-01-01 00:00:00] [2020-01-01 00:00:00.123]"},
		{"nanoseconds", field("t", `"timestamp"`, ""), []string{"SELECT '2020-01-01 00:00:00.123456789'::TIMESTAMP_NS t"}, "[2020-01-01 00:00:00.123456+00]"},
		{"text without annotation", field("t", str, ""), []string{"SELECT encode('ß') t"}, "[ß]"},
		{"another case", field("Abc", integer, ""), []string{"SELECT 1::INT abc"}, "[1]"},
		{"void", field("v", `"void"`, "") + "," + field("i", integer, ""), []string{"SELECT 1::INT i", "SELECT 2::INT i, 3 v"}, "[ 1] [ 2]"},
		{"text for a number", field("i", long, ""), []string{"SELECT '1' i"}, "column i: it is a VARCHAR in the file, and a long in the schema"},
		{"a long for a double", field("d", `"double"`, ""), []string{"SELECT 1::BIGINT d"}, "column d: it is a BIGINT"},
		{"a struct for a number", field("i", long, ""), []string{"SELECT {'a': 1} i"}, "column i: it is a struct"},
		{"a number for an array, inside", field("s", structOf(field("l", arrayOf(long), "")), ""), []string{"SELECT {'l': 1} s"}, "column s: l: it is a INTEGER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, engine.Options{})
			sc := r.scan(parsed(t, tt.fields), nil)
			for i, q := range tt.queries {
				sc.Files = append(sc.Files, r.file(fmt.Sprintf("f%d.parquet", i), q, ""))
			}
			got := ""
			rel, err := r.Relation(t.Context(), sc)
			if err == nil {
				var rows [][]string
				rows, err = r.Strings(t.Context(), "SELECT COLUMNS(*)::VARCHAR FROM (SELECT * FROM "+rel+" ORDER BY ALL NULLS FIRST)")
				got = strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(rows), "["), "]")
			}
			if err != nil && strings.Contains(err.Error(), tt.want) {
				if k := fault.KindOf(err); k != fault.SchemaBroken && k != fault.InvalidInput {
					t.Errorf("kind %s", k)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%s %v, want %s", got, err, tt.want)
			}
		})
	}
}

// Columns that are mapped by id are found by it at every depth, whatever they are called in the file.
func TestMappedByID(t *testing.T) {
	r := newRig(t, engine.Options{})
	id := func(n int) string {
		return fmt.Sprintf(`"delta.columnMapping.id":%d,"delta.columnMapping.physicalName":"p%d"`, n, n)
	}
	sc := r.scan(parsed(t, field("x", `"long"`, id(1))+","+field("s", structOf(field("y", `"string"`, id(3)), field("later", `"long"`, id(9))), id(2))), nil)
	sc.Mapping = delta.MappingID
	sc.Files = []engine.File{r.file("a.parquet", "SELECT 1::BIGINT s, {'x': 'v', 'later': 5} b", ", FIELD_IDS {s: 1, b: {__duckdb_field_id: 2, x: 3, later: 4}}")}
	if got := fmt.Sprint(r.strings("SELECT x, s::VARCHAR FROM " + r.relation(sc))); got != "[[1 {'y': v, 'later': NULL}]]" {
		t.Error(got)
	}
	// Names in the footer may be those of other columns: its statistics leave nothing out.
	away, there := r.away([]delta.Add{{Path: sc.Files[0].Path, Size: sc.Files[0].Size}})
	there.Schema, there.Mapping, there.Keep = sc.Schema, sc.Mapping, func(delta.Add) bool { return false }
	if got := fmt.Sprint(r.strings("SELECT x, s::VARCHAR FROM " + r.relation(there))); got != "[[1 {'y': v, 'later': NULL}]]" || len(away.asked) == 0 {
		t.Error(got)
	}
	sc.Files = append(sc.Files, r.file("b.parquet", "SELECT 1::BIGINT p1", ""))
	if _, err := r.Relation(t.Context(), sc); err == nil || !strings.Contains(err.Error(), "no field ids") || !strings.Contains(err.Error(), "b.parquet") {
		t.Errorf("without ids: %v", err)
	}
}

// Deleted rows are left out by their physical position, over files of several shapes; positions of the others stay.
func TestDeletedRows(t *testing.T) {
	r := newRig(t, engine.Options{})
	sc := r.scan(parsed(t, field("n", `"long"`, "")), nil)
	for i := range 6 { // even ones are of another shape
		sc.Files = append(sc.Files, r.file(fmt.Sprintf("f%d.parquet", i), fmt.Sprintf("SELECT (%d + range)::%s n FROM range(100000) ORDER BY 1", i*100000, []string{"INT", "BIGINT"}[i%2]), ", ROW_GROUP_SIZE 20000"))
	}
	var sets []*delta.RowSet
	for i := range 3 { // of f1, f2 and f5
		var set delta.RowSet
		for row := range uint64(100000) {
			if i == 2 || row%3 == uint64(i) {
				set.Add(row)
			}
		}
		sets = append(sets, &set)
	}
	vectors, err := r.table.WriteDeletionVectors(t.Context(), 1, sets)
	must(t, err)
	for i, f := range []int{1, 2, 5} {
		sc.Files[f].DeletionVector = &vectors[i]
	}
	sc.Position = true
	got := fmt.Sprint(r.strings("SELECT _file, count(*), count_if(n <> _file * 100000 + _pos)::INT, count_if(_pos % 3 = _file - 1)::INT FROM " + r.relation(sc) + " GROUP BY 1 ORDER BY 1"))
	if want := "[[0 100000 0 0] [1 66666 0 0] [2 66667 0 0] [3 100000 0 33333] [4 100000 0 0]]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := fmt.Sprint(r.strings("SELECT min(_pos), max(_pos), count(*) FROM " + r.relation(sc) + " WHERE n BETWEEN 179990 AND 180010")); got != "[[79990 80009 14]]" {
		t.Errorf("behind a filter that skips row groups: %s", got)
	}
	beyond, err := r.table.WriteDeletionVectors(t.Context(), 2, []*delta.RowSet{rowSet(5, 100000)})
	must(t, err)
	sc.Files[0].DeletionVector = &beyond[0]
	if _, err := r.Relation(t.Context(), sc); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "f0.parquet has 100000 rows") {
		t.Errorf("a row beyond the file: %v", err)
	}
}

func rowSet(rows ...uint64) *delta.RowSet {
	var s delta.RowSet
	for _, r := range rows {
		s.Add(r)
	}
	return &s
}

// A file that is not the one of the log is an error, not other rows.
func TestFilesThatAreNotTheLogs(t *testing.T) {
	r := newRig(t, engine.Options{})
	sc := r.scan(parsed(t, field("n", `"long"`, "")), nil)
	whole := r.file("f.parquet", "SELECT 1::BIGINT n", "")
	for _, tt := range []struct {
		name string
		file engine.File
		kind fault.Kind
		says string
	}{
		{"longer", engine.File{Path: whole.Path, Size: whole.Size - 1}, fault.InvalidInput, "f.parquet: the file has"},
		{"shorter", engine.File{Path: whole.Path, Size: whole.Size + 1}, fault.InvalidInput, "f.parquet: the file has"},
		{"gone", engine.File{Path: "g.parquet", Size: 7}, fault.SourceLost, "g.parquet"},
		{"outside", engine.File{Path: "../f.parquet", Size: whole.Size}, fault.InvalidInput, "../f.parquet"},
		{"outside, encoded", engine.File{Path: "%2E%2E/f.parquet", Size: whole.Size}, fault.InvalidInput, ".."},
		{"absolute", engine.File{Path: "file://" + r.root + "/t/f.parquet", Size: whole.Size}, fault.InvalidInput, "absolute"},
	} {
		sc.Files = []engine.File{tt.file}
		if _, err := r.Relation(t.Context(), sc); fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %s, %v", tt.name, fault.KindOf(err), err)
		}
	}
}

// A column whose name the engine has for itself is read where nothing depends on that name, and refused where rows are told apart by it.
func TestReservedNames(t *testing.T) {
	r := newRig(t, engine.Options{})
	sc := r.scan(fields("file_index", delta.Long, "file_row_number", delta.Long, "p", delta.String), nil)
	sc.Partition = []string{"p"}
	for i := range 2 {
		f := r.file(fmt.Sprintf("f%d.parquet", i), "SELECT 70::BIGINT file_index, 80::BIGINT file_row_number", "")
		value := fmt.Sprint("v", i)
		f.PartitionValues = map[string]*string{"p": &value}
		sc.Files = append(sc.Files, f)
	}
	if got := fmt.Sprint(r.strings("SELECT * FROM " + r.relation(sc) + " ORDER BY p")); got != "[[70 80 v0] [70 80 v1]]" {
		t.Error(got)
	}
	sc.Position = true
	if _, err := r.Relation(t.Context(), sc); fault.KindOf(err) != fault.SchemaBroken || !strings.Contains(err.Error(), "file_row_number") {
		t.Errorf("positions: %v", err)
	}
}
