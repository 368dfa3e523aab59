package snowflake

import (
	"context"
	"crypto/rsa"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/lakestep/lakestep/shared/fault"
)

// maxIdle is how many sessions wait for the next statement.
const maxIdle = 2

// session is what the driver can do that database/sql has no word for.
type session interface {
	driver.QueryerContext
	// QueryArrowStream gives a result as the server sends it: the driver's own conversions of batches lose digits, and hold chunks whole.
	QueryArrowStream(ctx context.Context, query string, bindings ...driver.NamedValue) (gosnowflake.ArrowStreamLoader, error)
}

// dialer makes sessions. It asks for the credentials each time, and keeps none.
type dialer struct{ *source }

// Driver is the driver.
func (d dialer) Driver() driver.Driver { return gosnowflake.SnowflakeDriver{} }

// Connect logs in.
func (d dialer) Connect(ctx context.Context) (driver.Conn, error) {
	cfg, used, err := d.login(ctx)
	if err != nil {
		return nil, err
	}
	n := noteOf(ctx)
	c, err := gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, cfg).Connect(ctx)
	if err != nil {
		return nil, d.refused(ctx, n, err, used)
	}
	return c, nil
}

// login is what the driver needs to know, and the credentials in it, by key.
func (d dialer) login(ctx context.Context) (gosnowflake.Config, map[string]string, error) {
	s := d.set
	cfg := gosnowflake.Config{ //nolint:staticcheck // some of it is to be named otherwise in a later version
		Account: s.account, Host: s.host, Port: s.port, Protocol: s.protocol, Warehouse: s.warehouse, Role: s.role,
		Database: d.cfg.Settings.Text("database", ""), Schema: d.cfg.Settings.Text("schema", ""),
		ValidateDefaultParameters: gosnowflake.ConfigBoolFalse, // what is not there is said where it is needed
		Application:               "lakestep", DisableTelemetry: true, Params: d.parameters(),
		LoginTimeout: d.patience.login, ClientTimeout: totalTimeout, MaxRetryCount: d.retries, Transporter: wire{d.base, d.after},
	}
	values := map[string]string{}
	for _, key := range credentials[s.authenticator] {
		v, err := d.cfg.Credential(ctx, key)
		if err != nil {
			return cfg, nil, err
		}
		values[key] = v
	}
	cfg.User = values["username"]
	var err error
	switch s.authenticator {
	case byPassword:
		cfg.Authenticator, cfg.Password = gosnowflake.AuthTypeSnowflake, values["password"]
	case byKeyPair:
		cfg.Authenticator = gosnowflake.AuthTypeJwt
		cfg.PrivateKey, err = d.key(values["private_key"], values["private_key_passphrase"])
	case byOAuth:
		cfg.Authenticator, cfg.Token = gosnowflake.AuthTypeOAuth, values["token"]
	}
	return cfg, values, err
}

func (d dialer) key(text, passphrase string) (*rsa.PrivateKey, error) {
	key, err := parseKey(text, passphrase)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "read private_key of", d.cfg.Name, "%w", err).
			WithHint("%s must be a PEM of PKCS #8: openssl genrsa 2048 | openssl pkcs8 -topk8 -v2 aes-256-cbc (%s)", d.refs("private_key", "private_key_passphrase"), d.cfg.At)
	}
	return key, nil
}

// parameters are the session's. Those that an account or a user may have set otherwise, and that would change what is read, are all named.
func (d dialer) parameters() map[string]*string {
	params := map[string]string{
		"TIMEZONE": "UTC", "GO_QUERY_RESULT_FORMAT": "ARROW", "GEOGRAPHY_OUTPUT_FORMAT": "GeoJSON", "GEOMETRY_OUTPUT_FORMAT": "GeoJSON",
		"TIMESTAMP_INPUT_FORMAT": "AUTO", "DATE_INPUT_FORMAT": "AUTO", "QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
		"ROWS_PER_RESULTSET":       "0",  // all
		"CLIENT_RESULT_CHUNK_SIZE": "48", // MB, the least: pages end between chunks
	}
	if d.set.timeout > 0 {
		params["STATEMENT_TIMEOUT_IN_SECONDS"] = strconv.FormatInt(int64((d.set.timeout+time.Second-1)/time.Second), 10)
	}
	out := map[string]*string{}
	for k, v := range params {
		out[k] = &v
	}
	return out
}

// refs names where credentials are kept, for messages: of a text only its key.
func (s *source) refs(keys ...string) string {
	var out []string
	for _, key := range keys {
		v, ok := s.cfg.Settings[key]
		if !ok {
			continue
		}
		if key != "username" || strings.HasPrefix(v.Text, "env:") || strings.HasPrefix(v.Text, "aws-") || strings.HasPrefix(v.Text, "azure-") {
			key = fmt.Sprintf("%s (%s)", key, v.Text)
		}
		out = append(out, key)
	}
	return strings.Join(out, " and ")
}

// run calls fn in a session that was idle, or in a new one. When the session turns out to have expired, it is replaced and fn is called again.
func (s *source) run(ctx context.Context, what action, fn func(ctx context.Context, c session) error) error {
	tag := s.set.tag
	if tag == "" {
		tag = strings.TrimSuffix("lakestep/"+s.cfg.Pipeline+"/"+what.stream.name, "/")
	}
	n := &note{}
	ctx = gosnowflake.WithQueryTag(withNote(ctx, n), tag)
	for try := 0; ; try++ {
		err := s.once(ctx, fn)
		if err == nil {
			return nil
		}
		if try > maxIdle || ctx.Err() != nil || !expired(n, err) {
			return s.failure(ctx, what, n, err)
		}
	}
}

func (s *source) once(ctx context.Context, fn func(ctx context.Context, c session) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = nil
	raw := conn.Raw(func(c any) error {
		if err = fn(ctx, c.(session)); err != nil && (ctx.Err() != nil || expired(noteOf(ctx), err)) {
			return driver.ErrBadConn // nobody gets this session again: it is over, or busy with what was given up
		}
		return nil
	})
	if err == nil && raw != nil {
		err = raw
	}
	return err
}
