package snowflake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/lakestep/lakestep/shared/fault"
)

// action is what was being done, for messages and hints.
type action struct {
	op     string
	object string
	stream stream
}

// Error numbers of the server.
const (
	errCanceled       = 604
	errNoWarehouse    = 606
	errTimeout        = 630
	errResultGone     = 707 // of a query that was too long ago, up to
	errNoStatement    = 709
	errInvalidColumn  = 904
	errSyntax         = 1003
	errNotThere       = 2003
	errNotPossible    = 2043 // does not exist, or operation cannot be performed
	errNotAllowed     = 3001
	errQuota          = 90073 // a resource monitor has stopped the warehouse
	errTokenNotFound  = 390103
	errLoginAgain     = 390104
	errIDTokenExpired = 390110
	errSessionGone    = 390111
	errSessionExpired = 390112
	errMasterNotFound = 390113
	errMasterExpired  = 390114
	errMasterInvalid  = 390115
	errJWT            = 390144
	errRole           = 390189
	errOAuthInvalid   = 390303
	errOAuthExpired   = 390318
	errNetworkPolicy  = 390422
	firstTransport    = 260000 // errors that the driver makes itself, up to
	lastTransport     = 279999
	firstLogin        = 390100 // errors of logins and sessions begin here
)

// expired tells whether an error says that the session is over, so that a new one may help.
func expired(n *note, err error) bool {
	var f *fault.Fault
	if errors.As(err, &f) { // a login was refused
		return false
	}
	var se *gosnowflake.SnowflakeError
	if !errors.As(err, &se) {
		return false
	}
	sessions := []int{errTokenNotFound, errLoginAgain, errIDTokenExpired, errSessionGone, errSessionExpired, errMasterNotFound, errMasterExpired, errMasterInvalid}
	return slices.Contains(sessions, se.Number) || isTransport(se) && n.status() == http.StatusUnauthorized
}

func isTransport(se *gosnowflake.SnowflakeError) bool {
	return se.Number >= firstTransport && se.Number <= lastTransport
}

// failure makes a fault of an error of a statement or of its result.
func (s *source) failure(ctx context.Context, what action, n *note, err error) error {
	var f *fault.Fault
	var se *gosnowflake.SnowflakeError
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, what.op, what.object, "%w", ctx.Err())
	case errors.As(err, &f):
		return f
	case errors.As(err, &se) && !isTransport(se):
		return s.statement(what, se)
	}
	return wireFault(what.op, what.object, n, err)
}

// wireFault is of what went wrong on the way, or of an answer that is not the server's own.
func wireFault(op, object string, n *note, err error) error {
	var of string
	n.mu.Lock()
	code, asked := n.code, n.asked
	n.mu.Unlock()
	if asked > 0 {
		of = fmt.Sprintf(", to be tried again after %s", asked.Round(time.Second))
	}
	switch {
	case code == http.StatusTooManyRequests:
		return fault.New(fault.Throttled, op, object, "Snowflake has too many requests (HTTP 429%s)", of).WithHint("the step is repeated; if it stays so, run fewer streams at once")
	case code == http.StatusForbidden || code == http.StatusNotFound || code == http.StatusUnauthorized:
		return fault.New(fault.InvalidInput, op, object, "the server answers HTTP %d", code).WithHint("check the keys \"account\" and \"host\", and the account's network policy")
	case code >= 400:
		return fault.New(fault.Unavailable, op, object, "the server answers HTTP %d%s", code, of).WithHint("the step is repeated; see status.snowflake.com")
	}
	return fault.New(fault.Unavailable, op, object, "%s", scrub(err)).WithHint("the step is repeated; check the way to the account's host, and a proxy if there is one")
}

// scrub is an error's text without the links in it: those to chunks of a result let anybody read them.
func scrub(err error) string {
	var u *url.Error
	if !errors.As(err, &u) {
		return withoutLinks(err.Error())
	}
	host := ""
	if parsed, perr := url.Parse(u.URL); perr == nil {
		host = " " + parsed.Host
	}
	return withoutLinks(fmt.Sprintf("%s%s: %v", u.Op, host, u.Err))
}

func withoutLinks(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if at := strings.Index(w, "://"); at >= 0 {
			rest := w[at+3:]
			if end := strings.IndexAny(rest, "/?#"); end >= 0 {
				words[i] = w[:at+3] + rest[:end] + "/..."
			}
		}
	}
	return strings.Join(words, " ")
}

// statement is a fault of what the server said about a statement.
func (s *source) statement(what action, se *gosnowflake.SnowflakeError) error {
	kind, hint := fault.InvalidInput, ""
	switch se.Number {
	case errCanceled, errTimeout:
		kind, hint = fault.Unavailable, "if it was too slow: raise statement_timeout, take a larger warehouse, or make pages smaller with page_rows"
	case errResultGone, errResultGone + 1, errNoStatement:
		return errGone
	case errNoWarehouse:
		hint = "name one with the key \"warehouse\" (" + s.cfg.At + "), and run: GRANT USAGE ON WAREHOUSE " + or(s.set.warehouse, "<warehouse>") + " TO ROLE " + s.role()
	case errQuota:
		hint = "the warehouse's resource monitor has reached its quota: raise it, or wait for its next interval"
	case errNotThere, errNotPossible, errNotAllowed:
		hint = "check the name, and run: " + s.grants(what.stream)
	case errInvalidColumn, errSyntax:
		hint = "check the names of columns and the query of the stream (" + what.stream.at + ")"
	default:
		if class := se.SQLState; se.Number >= 300000 && se.Number < firstLogin || strings.HasPrefix(class, "57") || strings.HasPrefix(class, "08") || strings.HasPrefix(class, "XX") {
			kind, hint = fault.Unavailable, "the step is repeated"
		}
	}
	text := said(se)
	if se.QueryID != "" {
		text += " (query " + se.QueryID + ")"
	}
	return fault.New(kind, what.op, what.object, "%s", text).WithHint("%s", hint)
}

// said is the server's message with its number.
func said(se *gosnowflake.SnowflakeError) string {
	message := se.Message
	if len(se.MessageArgs) > 0 {
		message = fmt.Sprintf(se.Message, se.MessageArgs...)
	}
	return fmt.Sprintf("%06d: %s", se.Number, withoutLinks(message))
}

// grants is what a role needs to read a stream, as SQL.
func (s *source) grants(st stream) string {
	role := s.role()
	switch {
	case st.name == "" && s.set.database != "":
		return fmt.Sprintf("GRANT USAGE ON DATABASE %s TO ROLE %s", quoted(s.set.database), role)
	case len(st.table) == 0:
		return fmt.Sprintf("GRANT USAGE ON DATABASE and SCHEMA, and GRANT SELECT ON TABLE, for each table of the query, TO ROLE %s", role)
	}
	return fmt.Sprintf("GRANT USAGE ON DATABASE %s TO ROLE %s; GRANT USAGE ON SCHEMA %s TO ROLE %s; GRANT SELECT ON TABLE %s TO ROLE %s",
		quoted(st.table[0]), role, quoted(st.table[:2]...), role, st.relation, role)
}

func (s *source) role() string { return or(s.set.role, "<role>") }

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// refused is a fault of a login with these credentials. The driver's error may quote what was sent, so the secrets are cut out of it.
func (s *source) refused(ctx context.Context, n *note, err error, used map[string]string) error {
	var secrets []string
	for _, key := range credentials[s.set.authenticator] {
		if v := used[key]; v != "" && key != "username" {
			secrets = append(secrets, v)
		}
	}
	op, object := "log in to", "account "+s.set.account
	var se *gosnowflake.SnowflakeError
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, op, object, "%w", ctx.Err())
	case !errors.As(err, &se):
		return wireFault(op, object, n, errors.New(without(secrets, scrub(err))))
	case isTransport(se) && n.status() != 0:
		return wireFault(op, object, n, se)
	case isTransport(se):
		return fault.New(fault.InvalidInput, op, object, "%s", without(secrets, said(se))).WithHint("see docs/sources-snowflake.md (%s)", s.cfg.At)
	case se.Number >= 300000 && se.Number < firstLogin:
		return fault.New(fault.Unavailable, op, object, "%s", without(secrets, said(se))).WithHint("the step is repeated")
	case se.Number != errRole && se.Number != errNetworkPolicy && s.cfg.Renewed(ctx, used):
		return fault.New(fault.Unavailable, op, object, "%s", without(secrets, said(se))).WithHint("the credentials were renewed meanwhile: the step is repeated with the new ones")
	}
	return fault.New(fault.InvalidInput, op, object, "%s", without(secrets, said(se))).WithHint("%s", s.loginHint(se.Number))
}

func (s *source) loginHint(number int) string {
	switch keys := credentials[s.set.authenticator]; {
	case number == errRole:
		return "check the key \"role\", and run: GRANT ROLE " + s.role() + " TO USER <user> (" + s.cfg.At + ")"
	case number == errNetworkPolicy:
		return "let this machine's address through the account's or the user's network policy"
	case number == errOAuthExpired || number == errOAuthInvalid:
		return "put a new access token where " + s.refs("token") + " is kept"
	case number == errJWT || number/1000 == 394:
		return "check " + s.refs(keys...) + ": the user's RSA_PUBLIC_KEY must belong to the private key (DESC USER shows its fingerprint), the account's name must be right, and so must this machine's clock"
	default:
		return "check " + s.refs(keys...) + ", and that the user is not locked or disabled (" + s.cfg.At + ")"
	}
}

// without cuts secrets out of a text.
func without(secrets []string, text string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "***")
		text = strings.ReplaceAll(text, strings.Trim(strconv.Quote(s), `"`), "***")
	}
	return text
}

// chunkFailure is a fault of a piece of a result.
func (s *source) chunkFailure(ctx context.Context, what action, n *note, err error) error {
	var f *fault.Fault
	switch {
	case ctx.Err() != nil && !errors.As(err, &f):
		return fault.New(fault.Unavailable, what.op, what.object, "%w", ctx.Err())
	case errors.As(err, &f):
		return f
	case n.status() == http.StatusForbidden:
		return fault.New(fault.Unavailable, what.op, what.object, "the link to a part of the result is refused (HTTP 403)").
			WithHint("the step is repeated with new links; if it stays so, let this machine reach the account's stage (SELECT SYSTEM$ALLOWLIST())")
	case errors.Is(err, errCut):
		return fault.New(fault.Unavailable, what.op, what.object, "%s", scrub(err)).WithHint("the step is repeated; check a proxy if there is one")
	}
	return wireFault(what.op, what.object, n, err)
}
