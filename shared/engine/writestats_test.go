package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// Structs are taken apart, arrays and maps only counted; a NULL struct is a NULL in each of its leaves.
func TestStatisticsOfNestedColumns(t *testing.T) {
	r := newRig(t, engine.Options{})
	list := delta.ArrayType{Element: delta.Long, ContainsNull: true}
	inner := delta.StructType{Fields: []delta.Field{nullable("d", delta.Double), nullable(`q"x.y`, delta.String), nullable("l", list)}}
	schema := delta.Schema{Fields: []delta.Field{
		nullable("st", delta.StructType{Fields: []delta.Field{nullable("a", delta.Long), nullable("in", inner)}}),
		nullable("l", list), nullable("m", delta.MapType{Key: delta.String, Value: delta.Long, ValueContainsNull: true}),
	}}
	typ, err := engine.DuckType(schema.Fields[0].Type)
	must(t, err)
	var rows []string
	for _, row := range []string{
		`{'a': 1, 'in': {'d': 0.5, 'q"x.y': 'k', 'l': [1, NULL]}}|[NULL, 1]|MAP {'a': NULL}`,
		`{'a': NULL, 'in': {'d': 'nan', 'q"x.y': NULL, 'l': NULL}}|NULL|NULL`,
		`NULL|[]|MAP {}`, `{'a': 7, 'in': NULL}|NULL|MAP {'b': 2}`,
	} {
		part := strings.Split(row, "|")
		rows = append(rows, fmt.Sprintf("SELECT CAST(%s AS %s) AS st, CAST(%s AS BIGINT[]) AS l, CAST(%s AS MAP(VARCHAR, BIGINT)) AS m", part[0], typ, part[1], part[2]))
	}
	adds := r.write(schema, strings.Join(rows, " UNION ALL "))
	want := `{"numRecords":4,"minValues":{"st":{"a":1,"in":{"q\"x.y":"k"}}},"maxValues":{"st":{"a":7,"in":{"q\"x.y":"k"}}},` +
		`"nullCount":{"l":2,"m":1,"st":{"a":2,"in":{"d":2,"l":3,"q\"x.y":3}}}}`
	if adds[0].Stats != want {
		t.Errorf("%s\nwant\n%s", adds[0].Stats, want)
	}
}

// The table's properties say which leaves have statistics; clustering columns always have.
func TestWhichColumnsHaveStatistics(t *testing.T) {
	r := newRig(t, engine.Options{})
	fields := []delta.Field{nullable("p", delta.String), nullable("st", delta.StructType{Fields: []delta.Field{nullable("x", delta.Long), nullable("y z", delta.Long)}})}
	columns := []string{"'a' AS p", "{'x': 1, 'y z': 2} AS st"}
	for i := range 40 {
		fields = append(fields, nullable(fmt.Sprintf("c%d", i), delta.Long))
		columns = append(columns, fmt.Sprintf("%d AS c%d", i, i))
	}
	for _, tt := range []struct {
		properties map[string]string
		clustered  [][]string
		want       string // columns with statistics
	}{
		{nil, nil, "st.x st.y z c0 .. c29"}, // 32 leaves, partition columns not among them
		{map[string]string{"delta.dataSkippingNumIndexedCols": "3"}, nil, "st.x st.y z c0"},
		{map[string]string{"delta.dataSkippingNumIndexedCols": "0"}, [][]string{{"c39"}, {"st", "y z"}}, "st.y z c39"},
		{map[string]string{"delta.dataSkippingNumIndexedCols": "-1"}, nil, "st.x st.y z c0 .. c39"},
		{map[string]string{"delta.dataSkippingNumIndexedCols": "1", "delta.dataSkippingStatsColumns": "c7, st.`y z`"}, nil, "st.y z c7"},
		{map[string]string{"delta.dataSkippingStatsColumns": "st"}, [][]string{{"c1"}}, "st.x st.y z c1"},
	} {
		target := r.target(delta.Schema{Fields: fields}, "p")
		target.Properties, target.Clustered = tt.properties, tt.clustered
		adds, err := r.Write(t.Context(), target, "SELECT "+strings.Join(columns, ", "))
		must(t, err)
		s := stats(t, adds[0])
		var got []string
		inStruct, _ := s.NullCount["st"].(map[string]any)
		for _, name := range []string{"x", "y z"} {
			if inStruct[name] != nil {
				got = append(got, "st."+name)
			}
		}
		var plain []string
		for i := range 40 {
			if s.NullCount[fmt.Sprintf("c%d", i)] != nil {
				plain = append(plain, fmt.Sprintf("c%d", i))
			}
		}
		if len(plain) > 2 {
			plain = []string{plain[0], "..", plain[len(plain)-1]}
		}
		if text := strings.Join(append(got, plain...), " "); text != tt.want {
			t.Errorf("%v, clustered by %v: %s, want %s", tt.properties, tt.clustered, text, tt.want)
		}
	}
}

func TestWhatIsNotWritten(t *testing.T) {
	for query, want := range map[string]struct {
		field delta.Field
		kind  fault.Kind
	}{
		"SELECT NULL AS x":                    {delta.Field{Name: "x", Type: delta.Long}, fault.SchemaBroken},
		"SELECT NULL::INTEGER[] AS x":         {delta.Field{Name: "x", Type: delta.ArrayType{Element: delta.Long, ContainsNull: true}}, fault.SchemaBroken},
		"SELECT TIMESTAMP 'infinity' AS x":    {nullable("x", delta.TimestampNTZ), fault.InvalidInput},
		"SELECT DATE '-infinity' AS x":        {nullable("x", delta.Date), fault.InvalidInput},
		"SELECT [1] AS x":                     {nullable("x", delta.ArrayType{Element: delta.Long}), fault.InvalidInput},
		"SELECT {'y': 1} AS x":                {nullable("x", delta.StructType{Fields: []delta.Field{{Name: "y", Type: delta.Long}}}), fault.InvalidInput},
		"SELECT MAP {'y': [{'z': 1}]} AS x":   {nullable("x", delta.MapType{Key: delta.String, Value: delta.Long}), fault.InvalidInput},
		"SELECT 1 AS y":                       {nullable("x", delta.Long), fault.InvalidInput},
		"SELECT 300 AS x":                     {nullable("x", delta.Byte), fault.InvalidInput},
		"SELECT error('of the query') AS x":   {nullable("x", delta.Long), fault.InvalidInput},
		"SELECT unnest([1, 2, NULL, 3]) AS x": {delta.Field{Name: "x", Type: delta.Long}, fault.SchemaBroken},
	} {
		r := newRig(t, engine.Options{})
		schema := delta.Schema{Fields: []delta.Field{want.field}}
		if _, err := r.Write(t.Context(), r.target(schema), query); fault.KindOf(err) != want.kind {
			t.Errorf("%s: %v, want a fault of kind %s", query, err, want.kind)
		}
	}
}
