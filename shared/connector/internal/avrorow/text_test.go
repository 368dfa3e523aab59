package avrorow

import "testing"

func TestText(t *testing.T) {
	for _, c := range []struct{ schema, payload, want string }{
		{`"string"`, "\x04\"x", `"x`},
		{`"string"`, "\x08null", "null"},
		{`"long"`, "\x54", "42"},
		{`["null","string"]`, "\x02\x02k", "k"},
		{`["null","string"]`, "\x00", "NULL"},
		{`["null","long"]`, "\x00", "NULL"},
		{`["null","long"]`, "\x02\x02", "1"},
		{`{"type":"int","logicalType":"date"}`, "\x02", "1970-01-02"},
		{`{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}`, "\x02\x07", "0.07"},
		{`"bytes"`, "\x02\xff", "/w=="},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","R"]}]}`, "\x02\x02\x04\x00", `{"a":1,"b":{"a":2,"b":null}}`},
		{`{"type":"array","items":"string"}`, "\x02\x02x\x00", `["x"]`},
		{`"string"`, "\x04x", "the value ends too early"},
		{`"string"`, "\x02xx", "1 bytes are left behind the value"},
		{`"string"`, "\x02\xff", "a string that is not UTF-8"},
	} {
		codec, err := New(c.schema)
		if err != nil {
			t.Fatal(err)
		}
		text, err := codec.Text([]byte(c.payload))
		got := string(text)
		switch {
		case err != nil:
			got = err.Error()
		case text == nil:
			got = "NULL"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.schema, got, c.want)
		}
	}
}
