package snowflake

import (
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// settings are those of a source that are no secrets. Names are as the user wrote them: Snowflake reads them as it reads SQL.
type settings struct {
	account, warehouse, role string
	database, schema         string // "" is the session's
	host                     string // "" is the account's own
	port                     int
	protocol                 string
	authenticator            string
	tag                      string        // "" is lakestep/<pipeline>/<stream>
	timeout                  time.Duration // of a statement; 0 is the account's
}

// The authenticators.
const (
	byPassword = "password"
	byKeyPair  = "key_pair"
	byOAuth    = "oauth"
)

func parseSettings(cfg connector.Config) (settings, error) {
	get := cfg.Settings.Text
	set := settings{account: get("account", ""), warehouse: get("warehouse", ""), role: get("role", ""), host: get("host", ""), protocol: get("protocol", "https"),
		port: int(cfg.Settings.Int("port", 443)), authenticator: get("authenticator", byPassword), tag: get("query_tag", ""), timeout: cfg.Settings.Duration("statement_timeout", 0)}
	wrong := func(format string, args ...any) error {
		return fault.New(fault.InvalidInput, "configure source", cfg.Name, format, args...).WithHint("see docs/sources-snowflake.md (%s)", cfg.At)
	}
	if strings.TrimSpace(set.account) == "" {
		return set, wrong("the key \"account\" is missing")
	}
	if _, ok := credentials[set.authenticator]; !ok {
		return set, wrong("authenticator %q is none of password, key_pair and oauth", set.authenticator)
	}
	for _, key := range needed(set.authenticator) {
		if !cfg.Settings.Has(key) {
			return set, wrong("authenticator %s needs the key %q", set.authenticator, key)
		}
	}
	var err error
	if set.database, err = oneName(get("database", "")); err != nil {
		return set, wrong("database: %w", err)
	}
	if set.schema, err = oneName(get("schema", "")); err != nil {
		return set, wrong("schema: %w", err)
	}
	return set, nil
}

// credentials are the keys that each authenticator reads.
var credentials = map[string][]string{
	byPassword: {"username", "password"},
	byKeyPair:  {"username", "private_key", "private_key_passphrase"},
	byOAuth:    {"token", "username"},
}

// needed are those of them that it cannot do without.
func needed(authenticator string) []string {
	if authenticator == byOAuth {
		return credentials[byOAuth][:1]
	}
	return credentials[authenticator][:2]
}

// stream is what is read, and how.
type stream struct {
	name     string
	relation string   // what stands behind FROM
	table    []string // database, schema and name; nil for a query
	origin   string   // for people
	columns  []string // nil is all
	primary  []string // that identify a row, where the source does not say so
	cursor   string   // "" reads the whole
	lag      time.Duration
	initial  *string // the least value of the cursor column; nil is any
	end      *string // the greatest
	parallel int
	at       string // file:line:column
}

func parseStream(cfg connector.Config, set settings, name string) (stream, error) {
	opts := cfg.Streams[name]
	st := stream{name: name, columns: opts.List("columns"), primary: opts.List("primary_key"), lag: opts.Duration("lag", 0), parallel: int(opts.Int("parallel", 4)), at: opts["mode"].At}
	wrong := func(format string, args ...any) (stream, error) {
		return st, fault.New(fault.InvalidInput, "configure stream", name, format, args...).WithHint("see docs/sources-snowflake.md (%s)", st.at)
	}
	switch mode := opts.Text("mode", ""); {
	case mode != "watermark" && mode != "full":
		return wrong("mode %q is neither watermark nor full", mode)
	case mode == "watermark" && !opts.Has("cursor_column"):
		return wrong("mode watermark needs the key \"cursor_column\"")
	case mode == "watermark":
		st.cursor = opts.Text("cursor_column", "")
	}
	for key, to := range map[string]**string{"initial_value": &st.initial, "end_value": &st.end} {
		if v, ok := opts[key]; ok {
			*to = &v.Text
		}
	}
	if opts.Has("table") == opts.Has("query") {
		return wrong("it needs one of the keys \"table\" and \"query\"")
	}
	if st.parallel < 1 || st.lag < 0 {
		return wrong("parallel must be 1 or more, and lag not less than 0")
	}
	var err error
	if opts.Has("table") {
		err = st.setTable(set, opts.Text("table", ""))
	} else {
		err = st.setQuery(opts.Text("query", ""))
	}
	if err != nil {
		return wrong("%w", err)
	}
	return st, nil
}

func (st *stream) setTable(set settings, text string) error {
	names, err := parseNames(text)
	if err != nil {
		return err
	}
	schema := set.schema
	if schema == "" {
		schema = "PUBLIC" // Snowflake's own default
	}
	switch len(names) {
	case 1:
		names = []string{set.database, schema, names[0]}
	case 2:
		names = []string{set.database, names[0], names[1]}
	}
	if len(names) != 3 || names[0] == "" {
		return fault.New(fault.InvalidInput, "read", "table "+text, "a table is named DATABASE.SCHEMA.TABLE, where the source says the rest without database or schema")
	}
	st.table, st.relation, st.origin = names, quoted(names...), strings.Join(names, ".")
	return nil
}

var selects = regexp.MustCompile(`(?is)^\s*(select|with)\b`)

// setQuery takes a SELECT as a table of its own. It is put in parentheses, so that nothing else can be behind it.
func (st *stream) setQuery(text string) error {
	text = strings.TrimRight(strings.TrimSpace(text), "; \t\r\n")
	if !selects.MatchString(text) {
		return fault.New(fault.InvalidInput, "read", "query", "it is no SELECT")
	}
	st.relation, st.origin = "(\n"+text+"\n)", "query "+st.name
	return nil
}

// key names where the stream's rows come from, for the rows themselves.
func (st *stream) key() string {
	return path.Join("snowflake", strings.ReplaceAll(st.origin, "/", "_"))
}

// unquoted is an identifier that needs no quotes; Snowflake reads it in capital letters.
var unquoted = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*$`)

// parseNames reads an identifier with dots between its parts, which may stand in double quotes: ORDERS, shop.Public."Order Items".
func parseNames(text string) (names []string, err error) {
	wrong := func() ([]string, error) {
		return nil, fault.New(fault.InvalidInput, "read", "name "+text, "it is no identifier").WithHint(`write NAME, SCHEMA.NAME or DATABASE.SCHEMA.NAME, with "double quotes" around a part that is not of letters, digits and _`)
	}
	for rest := strings.TrimSpace(text); ; rest = rest[1:] {
		var name string
		if strings.HasPrefix(rest, `"`) {
			end := closing(rest)
			if end < 0 {
				return wrong()
			}
			name, rest = strings.ReplaceAll(rest[1:end], `""`, `"`), rest[end+1:]
		} else {
			end := strings.IndexByte(rest+".", '.')
			name, rest = rest[:end], rest[end:]
			if !unquoted.MatchString(name) {
				return wrong()
			}
			name = strings.ToUpper(name)
		}
		switch names = append(names, name); {
		case name == "" || rest != "" && rest[0] != '.':
			return wrong()
		case rest == "":
			return names, nil
		}
	}
}

// closing is where the quotes end that s begins with, -1 when they do not.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 == len(s) || s[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}

// oneName reads an identifier without dots; "" stays "".
func oneName(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	names, err := parseNames(text)
	if err == nil && len(names) != 1 {
		err = fault.New(fault.InvalidInput, "read", "name "+text, "it has more than one part")
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// quoted is an identifier in SQL.
func quoted(names ...string) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, `"`+strings.ReplaceAll(n, `"`, `""`)+`"`)
	}
	return strings.Join(parts, ".")
}

// literal is a text in SQL.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}
