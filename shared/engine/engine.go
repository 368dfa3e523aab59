// Package engine is the embedded SQL engine (DuckDB): it scans the files of Delta snapshots, runs SQL over them,
// and writes Parquet data files with the statistics that the Delta log wants.
//
// It knows nothing of layers, quality or merging. One Engine is one DuckDB instance with one memory limit for the
// whole process; each step works in a Session of its own, whose temporary tables, views and files vanish with it.
// What does not fit into memory spills to the session's folder.
//
// DuckDB's TIMESTAMP and TIMESTAMPTZ are both written as Delta's timestamp (UTC, microseconds), so that models may say
// CAST(x AS TIMESTAMP), which Spark SQL reads the same way. The session's time zone is UTC.
package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/lakestep/lakestep/shared/fault"
)

// Options configure an Engine. The zero value of a field leaves DuckDB's default, but TempDir is required.
type Options struct {
	MemoryMB int    // limit of DuckDB's buffers; resident memory may exceed it by about a quarter
	TempMB   int    // limit of spill files, and another one of the same size for fetched data files
	Threads  int    // worker threads
	TempDir  string // folder for spill and staging files; best on the lake's own file system
}

// Engine is one DuckDB instance. Sessions may be opened concurrently.
type Engine struct {
	connector *duckdb.Connector
	db        *sql.DB
	tempDir   string
	tempBytes int64 // limit of fetched files; 0: none
	sessions  atomic.Int64
	fetched   atomic.Int64 // bytes of data files in the sessions' folders
}

// Open starts an in-memory DuckDB. Close it to free its memory and folder.
func Open(o Options) (*Engine, error) {
	if o.TempDir == "" {
		return nil, fault.New(fault.Internal, "open", "engine", "no temporary folder given")
	}
	if err := os.MkdirAll(o.TempDir, 0o755); err != nil {
		return nil, fault.New(fault.InvalidInput, "open", "engine", "temporary folder: %w", err)
	}
	dir, err := os.MkdirTemp(o.TempDir, "engine-")
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open", "engine", "temporary folder: %w", err)
	}
	connector, err := duckdb.NewConnector("", func(c driver.ExecerContext) error { // for each connection
		_, err := c.ExecContext(context.Background(), "SET TimeZone = 'UTC'", nil)
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Internal, "open", "engine", "%w", err)
	}
	e := &Engine{connector: connector, db: sql.OpenDB(connector), tempDir: dir, tempBytes: int64(o.TempMB) << 20}
	if err := e.configure(o); err != nil {
		return nil, errors.Join(classify(err, "open", "engine"), e.Close())
	}
	return e, nil
}

// configure makes the settings of the instance, once: DuckDB refuses to name the folder again after it has spilled into it.
func (e *Engine) configure(o Options) error {
	settings := []string{
		"SET GLOBAL preserve_insertion_order = false", // spill-free CSV to Parquet in 128 MB (ENGINE notes); order never carries meaning here
		"SET GLOBAL temp_directory = " + Literal(filepath.Join(e.tempDir, "spill")),
		"SET GLOBAL autoinstall_known_extensions = false", // no network behind the user's back
		"SET GLOBAL autoload_known_extensions = false",
	}
	if o.MemoryMB > 0 {
		settings = append(settings, fmt.Sprintf("SET GLOBAL memory_limit = '%dMB'", o.MemoryMB))
	}
	if o.TempMB > 0 {
		settings = append(settings, fmt.Sprintf("SET GLOBAL max_temp_directory_size = '%dMB'", o.TempMB))
	}
	if o.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET GLOBAL threads = %d", o.Threads))
	}
	for _, s := range settings {
		if _, err := e.db.ExecContext(context.Background(), s); err != nil {
			return err
		}
	}
	return registerFunctions(e.db)
}

// Close frees the instance and removes its folder.
func (e *Engine) Close() error {
	return errors.Join(e.db.Close(), e.connector.Close(), os.RemoveAll(e.tempDir))
}

// Session is a private workspace in the engine: one connection, one folder. It is not safe for concurrent use.
type Session struct {
	engine   *Engine
	conn     *sql.Conn
	dir      string
	seq      int
	fetched  map[fetchName]string // data files that are here already, with their paths
	reserved int64                // their bytes
}

// Session opens a workspace; the caller closes it.
func (e *Engine) Session(ctx context.Context) (*Session, error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, classify(err, "open", "engine session")
	}
	dir := filepath.Join(e.tempDir, fmt.Sprintf("session-%d", e.sessions.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		conn.Close()
		return nil, fault.New(fault.Internal, "open", "engine session", "%w", err)
	}
	return &Session{engine: e, conn: conn, dir: dir, fetched: map[fetchName]string{}}, nil
}

// Close drops everything temporary.
func (s *Session) Close() error {
	// The connection must not return to the pool with its temporary tables: report it as bad.
	err := s.conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		err = nil
	}
	closed := s.conn.Close()
	if errors.Is(closed, sql.ErrConnDone) { // as it should be after a bad connection
		closed = nil
	}
	s.engine.fetched.Add(-s.reserved)
	return errors.Join(err, closed, os.RemoveAll(s.dir))
}

// TempFile is a fresh path in the session's folder.
func (s *Session) TempFile(name string) string {
	s.seq++
	return filepath.Join(s.dir, fmt.Sprintf("%d-%s", s.seq, name))
}

// Exec runs a statement.
func (s *Session) Exec(ctx context.Context, query string) error {
	if _, err := s.conn.ExecContext(ctx, query); err != nil {
		return classify(err, "run", "SQL")
	}
	return nil
}

// Query runs a statement that gives rows. The caller closes them.
func (s *Session) Query(ctx context.Context, query string) (*sql.Rows, error) {
	rows, err := s.conn.QueryContext(ctx, query)
	if err != nil {
		return nil, classify(err, "run", "SQL")
	}
	return rows, nil
}

// Row runs a statement that gives one row and scans it into dest.
func (s *Session) Row(ctx context.Context, query string, dest ...any) error {
	if err := s.conn.QueryRowContext(ctx, query).Scan(dest...); err != nil {
		return classify(err, "run", "SQL")
	}
	return nil
}

// Strings runs a statement whose rows are texts (NULL as ""), a column for each given.
func (s *Session) Strings(ctx context.Context, query string) ([][]string, error) {
	rows, err := s.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, classify(err, "run", "SQL")
	}
	var out [][]string
	for rows.Next() {
		cells := make([]sql.NullString, len(cols))
		dest := make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, classify(err, "run", "SQL")
		}
		row := make([]string, len(cols))
		for i, c := range cells {
			row[i] = c.String
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err, "run", "SQL")
	}
	return out, nil
}

// classify turns DuckDB's errors into faults: what the user's SQL did wrong is InvalidInput, a full disk or memory limit says
// which knob to turn, a cancelled context stays one.
func classify(err error, op, object string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.Unavailable, op, object, "%w", err)
	}
	var de *duckdb.Error
	if !errors.As(err, &de) {
		return fault.New(fault.Internal, op, object, "%w", err)
	}
	switch de.Type {
	case duckdb.ErrorTypeInterrupt:
		return fault.New(fault.Unavailable, op, object, "%w: %w", context.Canceled, err)
	case duckdb.ErrorTypeOutOfMemory:
		return fault.New(fault.InvalidInput, op, object, "%w", err).
			WithHint("give the step more memory (--memory, or the function's size), or make its batch smaller")
	case duckdb.ErrorTypeParser, duckdb.ErrorTypeSyntax, duckdb.ErrorTypeBinder, duckdb.ErrorTypeCatalog,
		duckdb.ErrorTypeConversion, duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeMismatchType, duckdb.ErrorTypeInvalidInput,
		duckdb.ErrorTypeDivideByZero, duckdb.ErrorTypeDecimal:
		return fault.New(fault.InvalidInput, op, object, "%w", err)
	case duckdb.ErrorTypeIO:
		if strings.Contains(de.Msg, "No files found that match the pattern") {
			return fault.New(fault.SourceLost, op, object, "a data file of the table is gone: %w", err).
				WithHint("another program removed it (a VACUUM that kept too little): restore it from a backup, or remove the table and those behind it, and run again to rebuild them")
		}
	}
	return fault.New(fault.Internal, op, object, "%w", err)
}

// Ident quotes an identifier.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Idents quotes identifiers and joins them with commas.
func Idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Ident(n)
	}
	return strings.Join(quoted, ", ")
}

// Literal quotes a string literal.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Literals quotes string literals as a list value.
func Literals(ss []string) string {
	quoted := make([]string, len(ss))
	for i, s := range ss {
		quoted[i] = Literal(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Sample gives the first rows of a query as text, NULL as "NULL"; its first line holds the column names.
func (s *Session) Sample(ctx context.Context, query string, limit int) ([][]string, error) {
	schema, err := s.Strings(ctx, "SELECT column_name FROM (DESCRIBE\n"+query+"\n)") // the line breaks: it may end in a comment
	if err != nil {
		return nil, err
	}
	header := make([]string, len(schema))
	columns, aliases := make([]string, len(schema)), make([]string, len(schema))
	for i, r := range schema {
		header[i] = r[0]
		aliases[i] = fmt.Sprintf("c%d", i) // names may repeat
		columns[i] = fmt.Sprintf("coalesce(CAST(%s AS VARCHAR), 'NULL')", aliases[i])
	}
	rows, err := s.Strings(ctx, fmt.Sprintf("SELECT %s FROM (\n%s\n) AS sampled(%s) LIMIT %d",
		strings.Join(columns, ", "), query, strings.Join(aliases, ", "), limit))
	return append([][]string{header}, rows...), err
}
