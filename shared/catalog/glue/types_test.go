package glue

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/delta"
)

func TestHiveTypes(t *testing.T) {
	field := func(name string, typ delta.Type) delta.Field { return delta.Field{Name: name, Type: typ} }
	for _, tt := range []struct {
		typ  delta.Type
		want string // "": Hive has no words for it
	}{
		{delta.String, "string"}, {delta.Long, "bigint"}, {delta.Integer, "int"}, {delta.Short, "smallint"}, {delta.Byte, "tinyint"},
		{delta.Float, "float"}, {delta.Double, "double"}, {delta.Boolean, "boolean"}, {delta.Binary, "binary"}, {delta.Date, "date"},
		{delta.Timestamp, "timestamp"}, {delta.TimestampNTZ, "timestamp"}, {delta.Decimal(38, 18), "decimal(38,18)"},
		{delta.Primitive("decimal"), "decimal(10,0)"}, {delta.Primitive("decimal( 12, 2 )"), "decimal(12,2)"},
		{delta.Variant, ""}, {delta.Void, ""},
		{delta.ArrayType{Element: delta.Decimal(10, 2)}, "array<decimal(10,2)>"},
		{delta.MapType{Key: delta.String, Value: delta.ArrayType{Element: delta.Long}}, "map<string,array<bigint>>"},
		{delta.StructType{Fields: []delta.Field{field("Street", delta.String), field("geo", delta.StructType{Fields: []delta.Field{field("lat", delta.Double), field("größe", delta.Long)}})}},
			"struct<street:string,geo:struct<lat:double,größe:bigint>>"},
		{delta.ArrayType{Element: delta.StructType{Fields: []delta.Field{field("a_1.b$", delta.Date)}}}, "array<struct<a_1.b$:date>>"},
		{delta.StructType{Fields: []delta.Field{field("a:b", delta.String)}}, ""},
		{delta.StructType{Fields: []delta.Field{field("a b", delta.String)}}, ""},
		{delta.StructType{Fields: []delta.Field{field("", delta.String)}}, ""},
		{delta.StructType{Fields: []delta.Field{field("𝐱", delta.String)}}, ""}, // a letter that UTF-16 says in two
		{delta.StructType{Fields: []delta.Field{field("date", delta.String), field("struct", delta.Long)}}, "struct<date:string,struct:bigint>"},
		{delta.StructType{}, ""},
		{delta.MapType{Key: delta.String, Value: delta.Variant}, ""},
		{delta.ArrayType{Element: delta.Void}, ""},
	} {
		got, ok := hiveType(tt.typ)
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s: %q %v, want %q", tt.typ, got, ok, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	wide := delta.StructType{}
	for range 3 {
		wide.Fields = append(wide.Fields, delta.Field{Name: strings.Repeat("x", maxType/2), Type: delta.String})
	}
	for _, tt := range []struct {
		field              delta.Field
		name, typ, comment string
	}{
		{delta.Field{Name: "CustomerID", Type: delta.Long, Metadata: comment("The shop's id.")}, "customerid", "bigint", "The shop's id."},
		{delta.Field{Name: "v", Type: delta.Variant, Metadata: comment("As received.")}, "v", "string", "As received. (Delta: variant)"},
		{delta.Field{Name: "v", Type: delta.Void}, "v", "string", "(Delta: void)"},
		{delta.Field{Name: "s", Type: delta.StructType{Fields: []delta.Field{{Name: "a-b", Type: delta.Long}}}}, "s", "string", "(Delta: struct<a-b:long>)"},
		{delta.Field{Name: "a", Type: delta.String, Metadata: comment(" two\nlines\x00 ")}, "a", "string", "two lines"},
		{delta.Field{Name: "a", Type: delta.String, Metadata: map[string]json.RawMessage{"comment": json.RawMessage(`{"no":"text"}`)}}, "a", "string", ""},
		{delta.Field{Name: "w", Type: wide}, "w", "string", "(Delta: struct<" + strings.Repeat("x", maxComment/2-len("struct<…")) + "…)"},
	} {
		c := column(tt.field)
		if aws.ToString(c.Name) != tt.name || aws.ToString(c.Type) != tt.typ || aws.ToString(c.Comment) != tt.comment {
			t.Errorf("%s: %q %q %q, want %q %q %q", tt.field.Name, *c.Name, *c.Type, *c.Comment, tt.name, tt.typ, tt.comment)
		}
	}
	long := column(delta.Field{Name: "v", Type: delta.Variant, Metadata: comment(strings.Repeat("é", 300))})
	if text := aws.ToString(long.Comment); len(text) > maxComment || !strings.HasSuffix(text, "… (Delta: variant)") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func comment(text string) map[string]json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return map[string]json.RawMessage{"comment": raw}
}

// What clean gives is what the vendor's pattern takes: not too long, whole characters, no controls. https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html
func FuzzClean(f *testing.F) {
	f.Add("plain", 255, false)
	f.Add("a\r\nb\tc\x07\x7f", 3, true)
	f.Add(strings.Repeat("🙂é", 100), 255, false)
	f.Add("\xff\xfe\uFFFE\uFFFF", 10, false)
	f.Fuzz(func(t *testing.T, s string, most int, lines bool) {
		if most < 8 {
			return
		}
		got := clean(s, most, lines)
		if len(got) > most || !utf8.ValidString(got) || clean(got, most, lines) != got {
			t.Errorf("%q of at most %d: %q", s, most, got)
		}
		for _, r := range got {
			if r < ' ' && r != '\t' && (!lines || r != '\n' && r != '\r') || r == 0xfffe || r == 0xffff {
				t.Errorf("%q holds %U", got, r)
			}
		}
	})
}
