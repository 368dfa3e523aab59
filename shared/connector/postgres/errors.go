package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/fault"
)

// failed makes a fault of what a server or the way to it said. A fault stays what it is.
func failed(op, object string, err error) error {
	var f *fault.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.Unavailable, op, object, "%w", err).WithHint("the step is repeated; if it goes on, see whether the server is overloaded, or raise statement_timeout")
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		kind, hint := judge(pg)
		return fault.New(kind, op, object, "%s (%s)", pg.Message, pg.Code).WithHint("%s", hint)
	}
	if lostWay(err) {
		return fault.New(fault.Unavailable, op, object, "the connection broke: %s", cause(err)).WithHint("the step is repeated; if it goes on, look into the server's log")
	}
	return fault.New(fault.Internal, op, object, "%w", err)
}

// lostWay tells whether the connection ended, in whichever way.
func lostWay(err error) bool {
	var network *net.OpError                   // not net.Error: an error of the disk is one, too
	var closed interface{ SafeToRetry() bool } // pgx: the connection was closed before
	return errors.As(err, &network) || errors.As(err, &closed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.Timeout(err)
}

// judge says what to do about an error of the server, by its code: https://www.postgresql.org/docs/current/errcodes-appendix.html
func judge(pg *pgconn.PgError) (fault.Kind, string) {
	switch pg.Code {
	case "42501": // insufficient_privilege
		if strings.Contains(pg.Message, "row-level security") {
			return fault.InvalidInput, "changes come of all rows, and the role may not read all: ALTER ROLE ... BYPASSRLS, or read with mode watermark or full what it may read"
		}
		return fault.InvalidInput, "grant the privilege: docs/sources-postgres.md; lakestep source check tells which are missing"
	case "42P01", "3F000", "42703": // undefined table, schema or column
		return fault.InvalidInput, "name a table and columns that are there; names are case-sensitive"
	case "57014": // query_canceled
		return fault.Unavailable, "a statement took longer than statement_timeout, or somebody cancelled it: raise statement_timeout of the source"
	case "53300", "53400": // too many connections, a limit of the configuration
		return fault.Throttled, "the server has no connection or slot left: raise max_connections, max_wal_senders or max_replication_slots, or free some"
	case "55P03": // lock_not_available
		return fault.Unavailable, "somebody holds a lock on the table for long, an ALTER TABLE perhaps: pg_locks tells who"
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "40", "53", "55", "57", "58", "XX": // connection, rolled back, resources, state, operator, system, server
		return fault.Unavailable, "the step is repeated; if it goes on, look into the server's log"
	}
	return fault.InvalidInput, "the server refuses to read this: try the table or view in psql"
}

// unreachable makes a fault of an error in connecting. Credentials that were refused are read anew: if they were renewed, the step's repetition gets in.
func (s *source) unreachable(ctx context.Context, c *pgx.ConnConfig, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, invalidAuthorization) {
		used := map[string]string{"username": c.User, "password": c.Password}
		if s.cfg.Settings.Has("url") {
			used = map[string]string{"url": c.ConnString()}
		}
		if s.cfg.Renewed(ctx, used) {
			return fault.New(fault.Unavailable, "connect to", s.cfg.Name, "the server lets this user not in any more (%s)", pg.Code).
				WithHint("the credentials were renewed meanwhile: the step is repeated with the new ones")
		}
	}
	return refusal(s.cfg.Name, err)
}

// invalidAuthorization is how the codes begin that say so.
const invalidAuthorization = "28"

// refusal makes a fault of an error in connecting. The driver's own text quotes the address and the user, which may be secrets: it is left
// out, and only what kind of error it was is told.
func refusal(source string, err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	refused := func(kind fault.Kind, hint, format string, args ...any) error {
		return fault.New(kind, "connect to", source, format, args...).WithHint("%s", hint)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if errors.Is(err, context.Canceled) {
			return refused(fault.Unavailable, "", "%w", context.Canceled)
		}
		return refused(fault.Unavailable, "check host, port and sslmode, and whether the server lets this machine in", "%s", cause(err))
	}
	switch {
	case strings.HasPrefix(pg.Code, invalidAuthorization):
		return refused(fault.InvalidInput, "check username, password and pg_hba.conf: for mode cdc that needs a line for this user with the database itself, and the role LOGIN and REPLICATION",
			"the server lets this user not in (%s)", pg.Code)
	case pg.Code == "3D000":
		return refused(fault.InvalidInput, "check the name of the database", "the server has no such database")
	case pg.Code == "42501":
		return refused(fault.InvalidInput, "GRANT CONNECT on the database; for mode cdc ALTER ROLE ... REPLICATION: docs/sources-postgres.md", "%s (%s)", pg.Message, pg.Code)
	}
	kind, hint := judge(pg)
	return refused(kind, hint, "%s (%s)", pg.Message, pg.Code)
}

// cause is what went wrong on the way, in words that name no address.
func cause(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var number syscall.Errno
	switch {
	case errors.As(err, &dns):
		return "the host's name is not known"
	case errors.As(err, &unknown):
		return "the server's certificate is signed by nobody that is trusted: name its authority with sslrootcert"
	case errors.As(err, &name):
		return "the server's certificate is for another name than host"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid"
	case errors.As(err, &record):
		return "the server does not speak TLS"
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		return "no answer in time"
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	case strings.Contains(err.Error(), "server refused TLS"):
		return "the server refuses TLS"
	}
	return fmt.Sprintf("an error of type %T", innermost(err))
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
