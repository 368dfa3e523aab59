package pipeline

import "slices"

// settingKind is what a setting's value must be.
type settingKind int

const (
	textSetting       settingKind = iota
	secretSetting                 // a reference to a secret, never a value
	credentialSetting             // text, or a reference to a secret
	numberSetting                 // a whole number, 1 or more
	durationSetting               // 90s, 1h30m
	truthSetting
	listSetting // a text or a list of texts
	choiceSetting
)

// setting is a key of a source or a stream.
type setting struct {
	name     string
	kind     settingKind
	required bool
	choices  []string // the first is the default
	of       []string // choices of the key "mode" or "format" that have a use for it; nil: all
}

// connectorSpec is what a connector's sources and streams may say. It is declared here, once; what the keys mean is the connector's business.
type connectorSpec struct {
	source, stream []setting
	selector       string                       // the stream's key that settings are bound to by `of`
	columns        func(stream Stream) []Column // that the connector adds to every row
}

func text(name string, of ...string) setting { return setting{name: name, kind: textSetting, of: of} }
func hidden(name string) setting             { return setting{name: name, kind: secretSetting} }
func credential(name string) setting         { return setting{name: name, kind: credentialSetting} }
func number(name string, of ...string) setting {
	return setting{name: name, kind: numberSetting, of: of}
}
func duration(name string, of ...string) setting {
	return setting{name: name, kind: durationSetting, of: of}
}
func truth(name string, of ...string) setting { return setting{name: name, kind: truthSetting, of: of} }
func list(name string, of ...string) setting  { return setting{name: name, kind: listSetting, of: of} }
func choice(name string, choices ...string) setting {
	return setting{name: name, kind: choiceSetting, choices: choices}
}
func (s setting) needed() setting { s.required = true; return s }

// The settings of streams that are read by a cursor column, and those of every stream. Words are dlt's.
var (
	incremental = []setting{text("cursor_column", "watermark"), duration("lag", "watermark"), text("initial_value", "watermark"), text("end_value", "watermark"), list("primary_key")}
	everyStream = []setting{number("page_rows"), number("page_bytes")} // and schema_contract, which is no plain setting
)

// connectors lists the connectors. Names of settings are those of the systems' own tools and of the user's plan.
func connectors() map[string]connectorSpec {
	return map[string]connectorSpec{
		"files": {
			source: []setting{text("path").needed()},
			stream: []setting{text("path").needed(), choice("format", "csv", "jsonl", "json", "parquet", "avro").needed(),
				text("delimiter", "csv"), truth("header", "csv"), choice("compression", "auto", "none", "gzip", "zstd"), choice("changed", "load", "ignore", "fail")},
			selector: "format",
		},
		"postgres": {
			source: []setting{hidden("url"), text("host"), number("port"), text("database"), credential("username"), hidden("password"),
				choice("sslmode", "prefer", "disable", "allow", "require", "verify-ca", "verify-full"), text("sslrootcert"), duration("statement_timeout")},
			stream: slices.Concat([]setting{text("table").needed(), choice("mode", "cdc", "watermark", "full").needed(), list("columns"), text("slot", "cdc"),
				text("publication", "cdc"), number("parallel"), number("chunk_rows"), number("slot_lag_bytes", "cdc")}, incremental),
			selector: "mode",
			columns:  postgresColumns,
		},
		"kafka": {
			source: []setting{list("bootstrap_servers").needed(), text("schema_registry_url"), credential("schema_registry_username"), hidden("schema_registry_password"),
				text("group.id"), choice("auto.offset.reset", "earliest", "latest"), choice("enable.auto.commit", "false"),
				choice("security.protocol", "SASL_SSL", "SASL_PLAINTEXT", "SSL", "PLAINTEXT"), choice("sasl.mechanism", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
				credential("sasl.username"), hidden("sasl.password"), text("ssl.ca.location"), choice("isolation.level", "read_committed", "read_uncommitted")},
			stream: []setting{text("topic").needed(), choice("value_format", "avro", "json_schema", "protobuf", "json", "text", "binary").needed(),
				choice("key_format", "text", "avro", "json_schema", "protobuf", "json", "binary"), duration("max_wait")},
			selector: "value_format",
			columns:  kafkaColumns,
		},
		"snowflake": {
			source: []setting{text("account").needed(), text("warehouse"), text("database").needed(), text("schema"), text("role"), credential("username"),
				hidden("password"), choice("authenticator", "password", "key_pair", "oauth"), hidden("private_key"), hidden("private_key_passphrase"), hidden("token"),
				text("host"), number("port"), choice("protocol", "https", "http"), text("query_tag"), duration("statement_timeout")},
			stream:   slices.Concat([]setting{text("table"), text("query"), choice("mode", "watermark", "full").needed(), list("columns"), number("parallel")}, incremental),
			selector: "mode",
		},
	}
}

// postgresColumns are what change data capture adds: the operation, its place in the order of all changes, the commit's time, and the
// columns whose value the server did not send.
func postgresColumns(s Stream) []Column {
	if s.Settings.Text("mode", "") != "cdc" {
		return nil
	}
	return []Column{{"_op", "string"}, {"_seq", "string"}, {"_lsn", "long"}, {"_committed_at", "timestamp"}, {"_xid", "long"}, {"_unchanged", "array<string>"}}
}

// kafkaColumns are a message's own: where it stood, its key and headers, and "delete" for a tombstone.
func kafkaColumns(Stream) []Column {
	return []Column{{"_op", "string"}, {"_topic", "string"}, {"_partition", "integer"}, {"_offset", "long"}, {"_timestamp", "timestamp"}, {"_key", "string"},
		{"_headers", "string"}, {"_schema_id", "integer"}}
}
