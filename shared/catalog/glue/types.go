package glue

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/delta"
)

// hiveTypes are the words of Hive for Delta's primitive types. Both timestamps have the same: Athena takes from the log which it is. Hive has no
// word for variants, and Athena none for a column of nothing but NULL.
var hiveTypes = map[delta.Primitive]string{
	delta.String: "string", delta.Long: "bigint", delta.Integer: "int", delta.Short: "smallint", delta.Byte: "tinyint", delta.Float: "float",
	delta.Double: "double", delta.Boolean: "boolean", delta.Binary: "binary", delta.Date: "date", delta.Timestamp: "timestamp", delta.TimestampNTZ: "timestamp",
}

// hiveType says a type in Hive's words; false: it cannot.
func hiveType(t delta.Type) (string, bool) {
	switch t := t.(type) {
	case delta.Primitive:
		if precision, scale, ok := t.DecimalParts(); ok {
			return fmt.Sprintf("decimal(%d,%d)", precision, scale), true
		}
		word, ok := hiveTypes[t]
		return word, ok
	case delta.ArrayType:
		element, ok := hiveType(t.Element)
		return "array<" + element + ">", ok
	case delta.MapType:
		key, ok := hiveType(t.Key)
		value, also := hiveType(t.Value)
		return "map<" + key + "," + value + ">", ok && also
	case delta.StructType:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			part, ok := hiveType(f.Type)
			if !ok || !sayable(f.Name) {
				return "", false
			}
			parts[i] = strings.ToLower(f.Name) + ":" + part
		}
		return "struct<" + strings.Join(parts, ",") + ">", len(parts) > 0
	}
	return "", false
}

// sayable tells whether a name inside a type can be read again: the parsers of Hive and Trino, which Athena is made from, take these characters
// for names, all others for what stands between them. They go by UTF-16. A type that they cannot read costs the whole table.
func sayable(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && r != '$' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) || r > 0xffff
	}) < 0
}

// clean makes a text that Glue takes: without control characters, of so many bytes at most.
func clean(s string, most int, lines bool) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t', lines && (r == '\n' || r == '\r'):
			return r
		case r < ' ', r == 0xfffe, r == 0xffff:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
	if len(s) <= most {
		return s
	}
	const more = "…"
	end := max(0, most-len(more))
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}
