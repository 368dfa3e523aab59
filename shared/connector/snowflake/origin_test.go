package snowflake

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// origin is a database of fakesnow, seen through a gate.
type origin struct {
	*gate
	db   *sql.DB // behind the gate
	name string
}

// newOrigin makes an empty database: fakesnow does so for who logs in to one.
func newOrigin(t testing.TB) *origin {
	t.Helper()
	silence()
	f := servicetest.Fakesnow(t)
	o := &origin{gate: newGate(t, fmt.Sprintf("%s:%d", f.Host, f.Port)), name: f.Database()}
	var err error
	if o.db, err = sql.Open("snowflake", f.DSN(o.name, "PUBLIC")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.db.Close() })
	return o
}

// sql runs a statement behind the gate.
func (o *origin) sql(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := o.db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// config is of a source that reads the database, with streams of the settings given.
func (o *origin) config(streams map[string]connector.Settings) connector.Config {
	return configFor(o.gate.url, o.name, streams)
}

func configFor(server, database string, streams map[string]connector.Settings) connector.Config {
	u, _ := url.Parse(server)
	return connector.Config{Pipeline: "shop", Name: "snow", At: "pipeline.yaml:1:1", Streams: streams, Secret: reveal,
		Settings: options("account", "acme-eu", "warehouse", "LOAD_WH", "role", "READER", "database", database, "schema", "PUBLIC", "username", "env:SNOWFLAKE_USERNAME", "password", "env:SNOWFLAKE_PASSWORD",
			"host", u.Hostname(), "port", u.Port(), "protocol", "http")}
}

// secrets are what references give.
var secrets = map[string]string{"env:SNOWFLAKE_USERNAME": "loader", "env:SNOWFLAKE_PASSWORD": "hunter2-very-secret", "env:SNOWFLAKE_TOKEN": "oauth-token-very-secret"}

func reveal(_ context.Context, ref string) (string, error) { return secrets[ref], nil }

// options are settings from keys and values; a value with commas is a list, too.
func options(pairs ...string) connector.Settings {
	out := connector.Settings{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = connector.Setting{Text: pairs[i+1], List: strings.Split(pairs[i+1], ","), At: "pipeline.yaml:9:9"}
	}
	return out
}

// open makes a source that does not wait long for anything.
func open(t testing.TB, cfg connector.Config) *source {
	t.Helper()
	s, err := hasty(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func hasty(cfg connector.Config) (*source, error) {
	src, err := New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	s := src.(*source)
	s.retries, s.patience = 1, patience{login: time.Second, pause: 10 * time.Millisecond, after: 2 * time.Second}
	return s, nil
}

// gate stands before a server, and can be shut.
type gate struct {
	url   string
	state atomic.Int32

	mu       sync.Mutex
	password string           // that lets in; "": any
	logins   []map[string]any // what was sent, of each
	queries  []string
	tags     []string // of the queries
	sessions int      // that were closed
	aborts   int
}

// The states of a gate.
const (
	isOpen int32 = iota
	hangs
	broken
	refuses // credentials and sessions
)

func newGate(t testing.TB, address string) *gate {
	g := &gate{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusTeapot) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		body = g.look(r.URL.Path, body)
		if g.stop(w, r, body) {
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// look takes note of a request; fakesnow has no warehouses, so the question for one is answered here.
func (g *gate) look(path string, body []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch path {
	case "/session/v1/login-request":
		var in struct{ Data map[string]any }
		json.Unmarshal(body, &in)
		g.logins = append(g.logins, in.Data)
	case "/queries/v1/query-request":
		var in struct {
			SQLText    string
			Parameters map[string]any
		}
		json.Unmarshal(body, &in)
		g.queries = append(g.queries, in.SQLText)
		g.tags = append(g.tags, fmt.Sprint(in.Parameters["QUERY_TAG"]))
	case "/session":
		g.sessions++
	case "/queries/v1/abort-request":
		g.aborts++
	}
	return bytes.ReplaceAll(body, []byte("CURRENT_WAREHOUSE()"), []byte("'LOAD_WH'"))
}

// stop answers a request when the gate is shut.
func (g *gate) stop(w http.ResponseWriter, r *http.Request, body []byte) bool {
	g.mu.Lock()
	password := g.password
	g.mu.Unlock()
	if r.URL.Path == "/session/v1/login-request" && password != "" && !bytes.Contains(body, []byte(`"PASSWORD":"`+password+`"`)) {
		io.WriteString(w, `{"success":false,"code":"390100","message":"Incorrect username or password was specified.","data":{}}`)
		return true
	}
	switch g.state.Load() {
	case hangs:
		if r.URL.Path == "/queries/v1/query-request" {
			<-r.Context().Done()
			return true
		}
	case broken:
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
		return true
	case refuses:
		code := map[string]string{"/session/v1/login-request": "390100", "/session/token-request": "390114", "/queries/v1/query-request": "390112"}[r.URL.Path]
		if code != "" {
			fmt.Fprintf(w, `{"success":false,"code":%q,"message":"Incorrect username or password was specified.","data":{}}`, code)
			return true
		}
	}
	return false
}

func (g *gate) shut(state int32) (restore func()) {
	g.state.Store(state)
	return func() { g.state.Store(isOpen) }
}

// asked are the queries so far, and forgets them.
func (g *gate) asked() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.queries
	g.queries = nil
	return out
}
