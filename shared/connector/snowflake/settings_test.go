package snowflake

import (
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"orders": "ORDERS", "shop.Public.order_items": "SHOP|PUBLIC|ORDER_ITEMS", `"My Db"."a.b"."say ""hi"""`: `My Db|a.b|say "hi"`, `x."Y"`: "X|Y", " $x": "", "a$b": "A$B",
		"": "", ".": "", "a.": "", ".a": "", "a..b": "", `"a`: "", `""`: "", `"a"b`: "", "a b": "", "a;b": "", "a-b": "", "1a": "", `a"b`: "",
	} {
		got, err := parseNames(text)
		if joined := strings.Join(got, "|"); joined != want && (err == nil || want != "") || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", text, joined, err, want)
		}
	}
}

func TestStreams(t *testing.T) {
	cfg := configFor("http://127.0.0.1:1", "shop", nil)
	for text, want := range map[string]string{"orders": `"SHOP"."PUBLIC"."ORDERS"`, "raw.orders": `"SHOP"."RAW"."ORDERS"`, `other.raw."x"`: `"OTHER"."RAW"."x"`} {
		cfg.Streams = map[string]connector.Settings{"s": options("table", text, "mode", "full")}
		s := open(t, cfg)
		if got := s.streams["s"].relation; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	cfg.Streams = map[string]connector.Settings{"s": options("query", "select 1 as x -- one\n; ", "mode", "full")}
	if got := open(t, cfg).streams["s"].relation; got != "(\nselect 1 as x -- one\n)" {
		t.Errorf("%q", got)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		source, stream []string
		says           string
	}{
		"no mode":          {nil, []string{"table", "T"}, "mode"},
		"no cursor":        {nil, []string{"table", "T", "mode", "watermark"}, "cursor_column"},
		"table and query":  {nil, []string{"table", "T", "query", "SELECT 1", "mode", "full"}, "table"},
		"neither":          {nil, []string{"mode", "full"}, "table"},
		"no select":        {nil, []string{"query", "DELETE FROM T", "mode", "full"}, "no SELECT"},
		"four parts":       {nil, []string{"table", "a.b.c.d", "mode", "full"}, "DATABASE.SCHEMA.TABLE"},
		"a strange name":   {nil, []string{"table", "a; drop", "mode", "full"}, "no identifier"},
		"a negative lag":   {nil, []string{"table", "T", "mode", "watermark", "cursor_column", "C", "lag", "-1h"}, "lag"},
		"an authenticator": {[]string{"authenticator", "externalbrowser"}, nil, "authenticator"},
		"no key":           {[]string{"authenticator", "key_pair"}, nil, "private_key"},
		"no account":       {[]string{"account", " "}, nil, "account"},
		"a database":       {[]string{"database", "a.b"}, nil, "database"},
	} {
		if c.stream == nil {
			c.stream = fullStream
		}
		cfg := configFor("http://127.0.0.1:1", "SHOP", map[string]connector.Settings{"s": options(c.stream...)})
		for k, v := range options(c.source...) {
			cfg.Settings[k] = v
		}
		_, err := New(t.Context(), cfg)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), c.says) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v (%s)", name, err, fault.HintOf(err))
		}
	}
}

func TestCursorValues(t *testing.T) {
	for _, c := range []struct{ typ, text, want string }{
		{"NUMBER", " 12.50", "12.50"}, {"NUMBER", "+7", "7"}, {"NUMBER", "-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"},
		{"NUMBER", "1e3", ""}, {"NUMBER", "1; DROP", ""}, {"NUMBER", "0x1", ""},
		{"DATE", "2024-02-29", "2024-02-29"}, {"DATE", "2023-02-29", ""}, {"DATE", "2024-02-29T10:00:00", "2024-02-29"},
		{"TIMESTAMP_NTZ", "2024-02-29", "2024-02-29 00:00:00.000000000"}, {"TIMESTAMP_NTZ", "2024-02-29T10:11:12.123456789", "2024-02-29 10:11:12.123456789"},
		{"TIMESTAMP_TZ", "2024-02-29 10:11:12+02:00", "2024-02-29 08:11:12.000000000+00:00"}, {"TIMESTAMP_TZ", "2024-02-29T10:11:12Z", "2024-02-29 10:11:12.000000000+00:00"},
		{"TIMESTAMP_TZ", "2024-02-29 10:11", "2024-02-29 10:11:00.000000000+00:00"}, {"TIMESTAMP_TZ", "yesterday", ""},
		{"VARCHAR", " it's ", " it's "},
	} {
		got, err := cursor{typ: c.typ}.parse(c.text)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s %q: %q, %v, want %q", c.typ, c.text, got, err, c.want)
		}
	}
	if got := (cursor{typ: "VARCHAR"}).literal(`it's a \`); got != `'it''s a \\'` {
		t.Error(got)
	}
	if got := (cursor{typ: "TIMESTAMP_TZ", column: column{kind: "timestamp_ltz"}}).literal("2024-02-29 10:11:12.000000000+00:00"); got != "'2024-02-29 10:11:12.000000000+00:00'::TIMESTAMP_LTZ(9)" {
		t.Error(got)
	}
	day := cursor{typ: "DATE"}
	if got, err := day.back("2024-03-01", 25*3600e9); err != nil || got != "2024-02-28" {
		t.Errorf("a day and an hour before: %s, %v", got, err)
	}
	at := cursor{typ: "TIMESTAMP_NTZ", target: "at"}
	if got, err := at.back("2024-03-01 00:00:00.000000005", 6); err != nil || got != "2024-02-29 23:59:59.999999999" {
		t.Errorf("%s, %v", got, err)
	}
	if o := at.overlap("2024-03-01 00:00:00.123456789", false); o.From != "2024-03-01 00:00:00.123456+00" || o.Column != "at" {
		t.Errorf("%+v", o)
	}
	if o := at.overlap("2024-03-01 00:00:00.123456789", true); o.From != "" {
		t.Errorf("%+v", o)
	}
}

func TestColumns(t *testing.T) {
	all := []column{{name: "ID", kind: "fixed"}, {name: "At", kind: "time"}, {name: "AT", kind: "date"}, {name: "x y", kind: "text"}}
	names := func(cols []column) (out []string) {
		for _, c := range cols {
			out = append(out, c.name)
		}
		return out
	}
	for _, c := range []struct {
		columns []string
		cursor  string
		want    []string
		list    string
	}{
		{nil, "", []string{"ID", "At", "AT", "x y"}, `"ID", CAST("At" AS TIME(9)) AS "At", "AT", "x y"`},
		{[]string{"x y", "id"}, "AT", []string{"ID", "AT", "x y"}, `"ID", "AT", "x y"`},
		{[]string{"id", "ID"}, "id", []string{"ID"}, `"ID"`},
	} {
		list, got, err := stream{columns: c.columns, cursor: c.cursor}.selected(all)
		if err != nil || !slices.Equal(names(got), c.want) || list != c.list {
			t.Errorf("%q: %s %q, %v", c.columns, list, names(got), err)
		}
	}
	if _, _, err := (stream{columns: []string{"nope"}}).selected(all); err == nil || !strings.Contains(err.Error(), "ID, At, AT, x y") {
		t.Error(err)
	}
}
