package pipeline

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/secret"
)

// batchSegment in a stream's path stands for one folder, whose name becomes the rows' _batch_id.
const batchSegment = "{batch}"

func (l *loader) sources(n *document.Node) {
	if n == nil {
		return
	}
	l.Fields(n, "sources")
	for _, m := range n.Members {
		if !identifier(m.Key) {
			l.badName(m.Pos, "source", m.Key)
		}
		l.p.Sources = append(l.p.Sources, l.source(m))
	}
}

func (l *loader) source(m document.Member) Source {
	s := Source{Name: m.Key, Pos: m.Pos}
	specs := connectors()
	names := slices.Sorted(maps.Keys(specs))
	any := l.Fields(m.Value, "a source")
	any.Require("connector")
	s.Connector = any.Choice("connector", "", names...)
	spec, ok := specs[s.Connector]
	if !ok { // reported; the names of its streams are known all the same
		if streams := any.Node("streams"); streams != nil {
			for _, m := range streams.Members {
				s.Streams = append(s.Streams, Stream{Name: m.Key, Pos: m.Pos})
			}
		}
		return s
	}
	f := l.Fields(m.Value, "a source of "+s.Connector, append(keysOf(spec.source), "connector", "streams")...)
	f.Require("streams")
	s.Settings = l.settings(f, spec.source, "")
	l.sourceRules(s, f)
	streams := f.Node("streams")
	if streams == nil {
		return s
	}
	l.Fields(streams, "streams")
	for _, m := range streams.Members {
		if !identifier(m.Key) {
			l.badName(m.Pos, "stream", m.Key)
		}
		s.Streams = append(s.Streams, l.stream(s.Connector, spec, m))
	}
	return s
}

func keysOf(settings []setting) []string {
	out := make([]string, len(settings))
	for i, s := range settings {
		out[i] = s.name
	}
	return out
}

func (l *loader) stream(of string, spec connectorSpec, m document.Member) Stream {
	all := slices.Concat(spec.stream, everyStream)
	f := l.Fields(m.Value, "a stream of "+of, append(keysOf(all), "schema_contract")...)
	s := Stream{Name: m.Key, Pos: m.Pos, Settings: l.settings(f, all, spec.selector)}
	s.Contract = l.schemaContract(f)
	s.Limit = connector.Limit{Rows: s.Settings.Int("page_rows", 0), Bytes: s.Settings.Int("page_bytes", 0)}
	l.streamRules(of, s, f)
	if spec.columns != nil {
		s.Added = spec.columns(s)
	}
	return s
}

// settings reads keys by their specification. With a selector, some keys have a use only for some of its choices.
func (l *loader) settings(f document.Fields, specs []setting, selector string) connector.Settings {
	out := connector.Settings{}
	for _, s := range specs {
		if s.required {
			f.Require(s.name)
		}
		if !f.Has(s.name) {
			continue
		}
		if v, ok := l.setting(f, s); ok {
			v.At = f.Pos(s.name).String()
			out[s.name] = v
		}
	}
	for _, s := range specs {
		chosen := out.Text(selector, "")
		if out.Has(s.name) && len(s.of) > 0 && chosen != "" && !slices.Contains(s.of, chosen) {
			l.Add(f.Pos(s.name), "", "%q is an option of %s, not of %s", s.name, strings.Join(s.of, ", "), chosen)
		}
	}
	return out
}

func (l *loader) setting(f document.Fields, s setting) (v connector.Setting, ok bool) {
	before := l.Len()
	switch s.kind {
	case listSetting:
		v.List = f.Strings(s.name)
		for i, text := range v.List {
			v.List[i] = l.expand(f.Node(s.name), text)
		}
	case choiceSetting:
		v.Text = f.Choice(s.name, "", s.choices...)
	case truthSetting:
		v.Text = map[bool]string{true: "true", false: "false"}[f.Bool(s.name, false)]
	default:
		v.Text = l.expand(f.Node(s.name), f.String(s.name))
		l.checkText(f, s, v.Text)
	}
	return v, l.Len() == before
}

func (l *loader) checkText(f document.Fields, s setting, text string) {
	switch {
	case text == "":
	case s.kind == numberSetting:
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 1 {
			l.Add(f.Pos(s.name), "", "%q must be a whole number, 1 or more", s.name)
		}
	case s.kind == durationSetting:
		if d, err := time.ParseDuration(text); err != nil || d < 0 {
			l.Add(f.Pos(s.name), "such as 90s, 15m or 1h30m", "%q must be a span of time", s.name)
		}
	case s.kind == secretSetting: // the text is not repeated: it may be the secret
		if _, err := secret.Parse(text); err != nil {
			l.Add(f.Pos(s.name), "env:NAME, aws-secretsmanager:NAME or azure-keyvault:VAULT/NAME: docs/secrets.md", "%q must be a reference to a secret, not its value", s.name)
		}
	}
}

// The words of a schema contract, as dlt has them.
const (
	Evolve       = "evolve"        // the table gets the new column; a value of another type goes to a column of its own
	Freeze       = "freeze"        // the step stops
	DiscardRow   = "discard_row"   // the row goes to bronze.rejected_rows
	DiscardValue = "discard_value" // the row is taken without the value
)

// SchemaContract says what becomes of rows that do not fit the table.
type SchemaContract struct {
	Columns  string // columns that the table lacks
	DataType string // values of another type than the column's
}

func (l *loader) schemaContract(f document.Fields) SchemaContract {
	words := []string{Evolve, Freeze, DiscardRow, DiscardValue}
	n := f.Node("schema_contract")
	if n == nil || n.Kind != document.Mapping {
		word := f.Choice("schema_contract", Evolve, words...)
		return SchemaContract{word, word}
	}
	c := l.Fields(n, "a schema_contract", "columns", "data_type")
	return SchemaContract{c.Choice("columns", Evolve, words...), c.Choice("data_type", Evolve, words...)}
}

// sourceRules are what the keys of one source must be together.
func (l *loader) sourceRules(s Source, f document.Fields) {
	has := s.Settings.Has
	needs := func(ok bool, format string, args ...any) {
		if !ok {
			l.Add(s.Pos, "", format, args...)
		}
	}
	switch s.Connector {
	case "postgres":
		needs(f.Has("url") || f.Has("host") && f.Has("database") && f.Has("username"), "a source of postgres needs the key \"url\", or \"host\", \"database\" and \"username\"")
	case "kafka":
		protocol := s.Settings.Text("security.protocol", "SASL_SSL")
		needs(!strings.HasPrefix(protocol, "SASL_") || has("sasl.username") && has("sasl.password"), "security.protocol %s needs the keys \"sasl.username\" and \"sasl.password\"", protocol)
	case "snowflake":
		key := map[string]string{"password": "password", "key_pair": "private_key", "oauth": "token"}[s.Settings.Text("authenticator", "password")]
		needs(f.Has(key) && (key == "token" || f.Has("username")), "this source of snowflake needs the keys \"username\" and %q", key)
	}
}

// streamRules are what the keys of one stream must be together.
func (l *loader) streamRules(of string, s Stream, f document.Fields) {
	switch of {
	case "files":
		l.fileStream(s, f)
	case "postgres", "snowflake":
		if s.Settings.Text("mode", "") == "watermark" {
			f.Require("cursor_column")
		}
		if of == "snowflake" && f.Has("table") == f.Has("query") {
			l.Add(s.Pos, "", "a stream of snowflake needs one of the keys \"table\" and \"query\"")
		}
	}
}

func (l *loader) fileStream(s Stream, f document.Fields) {
	if p := s.Settings.Text("path", ""); p != "" {
		l.glob(f.Pos("path"), p)
	}
	if s.Settings.Has("delimiter") {
		text := l.character(f, "delimiter")
		s.Settings["delimiter"] = connector.Setting{Text: text, At: s.Settings["delimiter"].At}
		if text == `"` {
			l.Add(f.Pos("delimiter"), "", "the delimiter is the quote of RFC 4180")
		}
	}
}

// character reads an option that is one ASCII character.
func (l *loader) character(f document.Fields, key string) string {
	s := f.String(key)
	if s == `\t` {
		s = "\t"
	}
	if utf8.RuneCountInString(s) != 1 || len(s) != 1 || s == "\n" || s == "\r" || s == "\\" {
		if s != "" {
			l.Add(f.Pos(key), `such as "," ";" "|" or "\t"`, "%q must be one ASCII character, not %q", key, s)
		}
	}
	return s
}

// glob checks a stream's path: relative, * and ? within a segment, {batch} once and as a whole segment.
func (l *loader) glob(pos Position, glob string) {
	bad := func(hint, message string) { l.Add(pos, hint, "stream path %q: %s", glob, message) }
	if strings.HasPrefix(glob, "/") || strings.Contains(glob, "\\") || strings.Contains(glob, ":") || path.Clean(glob) != glob {
		bad("write it relative to the source's path, with single slashes and without . and ..", "not a plain relative path")
		return
	}
	batches := 0
	for _, segment := range strings.Split(glob, "/") {
		switch {
		case segment == batchSegment:
			batches++
		case segment == "..":
			bad("", "leaves the source's path")
		case strings.Contains(segment, "**"):
			bad("name each folder level, with * where any will do", "** is not supported")
		case strings.ContainsAny(segment, "{}"):
			bad("for example {batch}/orders/*.csv", "only {batch} may stand in braces, and it must be a whole segment")
		case strings.ContainsAny(segment, "[]"):
			bad("", "character classes are not supported, only * and ?")
		}
	}
	if batches > 1 {
		bad("", "{batch} stands more than once")
	}
	if strings.HasSuffix(glob, batchSegment) {
		bad("", "{batch} must be a folder, not the file")
	}
}
