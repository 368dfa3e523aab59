package postgres

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lakestep/lakestep/shared/fault"
)

const (
	connectTimeout  = 10 * time.Second // of one try
	connectTries    = 4
	questionTimeout = 30 * time.Second // of a question to the catalog
	closeTimeout    = 500 * time.Millisecond
	defaultTimeout  = 10 * time.Minute // of a statement that reads rows
	readBuffer      = 128 << 10        // bytes
)

// session is what the text of values depends on, and what would end a long read.
func session(timeout time.Duration) map[string]string {
	return map[string]string{
		"datestyle": "ISO, MDY", "timezone": "UTC", "intervalstyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex", "client_encoding": "UTF8",
		"standard_conforming_strings": "on", "search_path": "pg_catalog", "jit": "off",
		"statement_timeout": strconv.FormatInt(timeout.Milliseconds(), 10), "lock_timeout": "30000", "idle_in_transaction_session_timeout": "0",
	}
}

// configuration is how to reach the server. Credentials are asked for each time, so that renewed ones are used at once.
func (s *source) configuration(ctx context.Context) (*pgx.ConnConfig, error) {
	address, err := s.address(ctx)
	if err != nil {
		return nil, err
	}
	c, err := pgx.ParseConfig(address)
	if err != nil { // its text may quote the password
		return nil, fault.New(fault.InvalidInput, "read the address of", s.cfg.Name, "it is no address of a PostgreSQL database, or its sslrootcert cannot be read").
			WithHint("postgres://user:password@host:port/database?sslmode=require; characters such as @ and / in the password are written %%40 and %%2F (%s)", s.cfg.At)
	}
	c.ConnectTimeout = connectTimeout
	c.RuntimeParams["application_name"] = "lakestep"
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readBuffer), w)
	}
	return c, nil
}

func (s *source) address(ctx context.Context) (string, error) {
	whole, err := value(ctx, s.cfg, "url")
	if err != nil || whole != "" {
		return whole, err
	}
	user, err := value(ctx, s.cfg, "username")
	if err != nil {
		return "", err
	}
	password, err := value(ctx, s.cfg, "password")
	if err != nil {
		return "", err
	}
	set := s.cfg.Settings
	q := url.Values{"sslmode": {set.Text("sslmode", "prefer")}}
	if set.Has("sslrootcert") {
		q.Set("sslrootcert", set.Text("sslrootcert", ""))
	}
	u := url.URL{Scheme: "postgres", Host: net.JoinHostPort(set.Text("host", "localhost"), strconv.FormatInt(set.Int("port", 5432), 10)),
		Path: "/" + set.Text("database", ""), RawQuery: q.Encode(), User: url.UserPassword(user, password)}
	return u.String(), nil
}

// conn is a connection for statements, and what the server said of itself.
type conn struct {
	*pgx.Conn
	version int // 150018
}

// connect gives a connection for statements: the one that was left over from the question before, if it still works.
func (s *source) connect(ctx context.Context) (*conn, error) {
	s.mu.Lock()
	left := s.left
	s.left = nil
	s.mu.Unlock()
	if left != nil {
		ping, cancel := question(ctx)
		defer cancel()
		if left.Ping(ping) == nil {
			return left, nil
		}
		left.close()
	}
	return s.dial(ctx)
}

// done keeps a connection for the next question, if it is in no transaction.
func (s *source) done(c *conn) {
	if c == nil {
		return
	}
	s.mu.Lock()
	if s.left == nil && !s.closed && !c.IsClosed() && c.PgConn().TxStatus() == 'I' {
		s.left, c = c, nil
	}
	s.mu.Unlock()
	c.close()
}

// dial opens a connection for statements.
func (s *source) dial(ctx context.Context) (*conn, error) {
	c, err := s.configuration(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := patiently(ctx, s.tries, func() (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, c) })
	if err != nil {
		return nil, s.unreachable(ctx, c, err)
	}
	out := &conn{Conn: raw}
	if err := out.prepare(ctx, s.timeout); err != nil {
		out.close()
		return nil, failed("set up the session of", s.cfg.Name, err)
	}
	return out, nil
}

// prepare sets the session's settings by statements: poolers let no others through.
func (c *conn) prepare(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	batch := ""
	for k, v := range session(timeout) {
		batch += "SET " + k + " = " + quote(v) + ";"
	}
	if _, err := c.PgConn().Exec(ctx, batch).ReadAll(); err != nil {
		return err
	}
	if err := asItIs(ctx, c.PgConn()); err != nil {
		return err
	}
	return c.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&c.version)
}

// asItIs lets texts of a database without an encoding through: the server would refuse what is no UTF-8.
func asItIs(ctx context.Context, c *pgconn.PgConn) error {
	if c.ParameterStatus("server_encoding") != "SQL_ASCII" {
		return nil
	}
	_, err := c.Exec(ctx, "SET client_encoding = 'SQL_ASCII'").ReadAll()
	return err
}

// close ends the connection; what went wrong in doing so is of no interest any more.
func (c *conn) close() {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.Close(ctx)
}

// connectReplication opens a connection that can read the log.
func (s *source) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := s.configuration(ctx)
	if err != nil {
		return nil, err
	}
	for k, v := range session(0) {
		c.RuntimeParams[k] = v
	}
	c.RuntimeParams["lock_timeout"] = "0" // a slot waits for transactions to end
	c.RuntimeParams["replication"] = "database"
	raw, err := patiently(ctx, s.tries, func() (*pgconn.PgConn, error) { return pgconn.ConnectConfig(ctx, &c.Config) })
	if err != nil {
		return nil, s.unreachable(ctx, c, err)
	}
	ctx, cancel := question(ctx)
	defer cancel()
	if err := asItIs(ctx, raw); err != nil {
		closeReplication(raw)
		return nil, failed("set up the session of", s.cfg.Name, err)
	}
	return raw, nil
}

// patiently tries some times to connect: a server that starts anew or has no connection left may have one a moment later.
func patiently[T any](ctx context.Context, tries uint, try func() (T, error)) (T, error) {
	policy := backoff.NewExponentialBackOff() // with jitter
	policy.InitialInterval, policy.MaxInterval = 200*time.Millisecond, 2*time.Second
	return backoff.Retry(ctx, func() (T, error) {
		v, err := try()
		if err != nil && !fault.KindOf(refusal("", err)).Retryable() {
			return v, backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(policy), backoff.WithMaxTries(tries))
}

// question bounds the time of a few questions to the catalog.
func question(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, questionTimeout)
}

// reading bounds the time of a statement that reads rows: the server should have ended it sooner.
func (s *source) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout+questionTimeout)
}

// quote makes a literal of a text.
func quote(s string) string {
	out := make([]byte, 0, len(s)+2)
	out = append(out, '\'')
	for i := 0; i < len(s); i++ {
		if s[i] == '\'' {
			out = append(out, '\'')
		}
		out = append(out, s[i])
	}
	return string(append(out, '\''))
}

// name makes an identifier of a text.
func name(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
