package servicetest

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// SchemaRegistry is an Apicurio Registry, which speaks the REST API of Confluent's schema registry. Unlike that, it takes incompatible schemas
// until a test sets a compatibility (PUT /config). It asks for no password: Guarded does.
type SchemaRegistry struct {
	URL string // of Confluent's API: "http://127.0.0.1:4711/apis/ccompat/v7"; stays over stops and starts

	program javaProgram
	port    int
	process *process
}

var sharedRegistry = sync.OnceValues(startRegistry)

// Registry is the registry that the tests of a package share: each registers subjects of its own, and none stops the registry.
func Registry(t testing.TB) *SchemaRegistry {
	t.Helper()
	r, err := sharedRegistry()
	return started(t, r, err)
}

// OwnRegistry starts a registry for one test.
func OwnRegistry(t testing.TB) *SchemaRegistry {
	t.Helper()
	r, err := startRegistry()
	started(t, r, err).process.ends(t)
	return r
}

// Guarded is a URL of the registry that takes HTTP basic authentication with this user and password, and nobody without.
func (r *SchemaRegistry) Guarded(t testing.TB, user, password string) string {
	t.Helper()
	target, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	equal := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Header.Del("Authorization")
	}}
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if u, p, ok := req.BasicAuth(); !ok || !equal(u, user) || !equal(p, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="schema registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error_code":401,"message":"Unauthorized"}`)
			return
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(guard.Close)
	return guard.URL
}

// Stop ends the registry in order.
func (r *SchemaRegistry) Stop(t testing.TB) { r.process.stop(syscall.SIGTERM, 20*time.Second) }

// Start starts a stopped registry on its port, with the schemas it had.
func (r *SchemaRegistry) Start(t testing.TB) {
	t.Helper()
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
}

// Log is the end of what the registry logged.
func (r *SchemaRegistry) Log() string { return r.process.output() }

func startRegistry() (*SchemaRegistry, error) {
	r := &SchemaRegistry{}
	var err error
	if r.program, err = findJava("schema registry", "LAKESTEP_TEST_REGISTRY"); err != nil {
		return nil, err
	}
	if r.port, err = freePort(); err != nil {
		return nil, err
	}
	r.URL = "http://" + address(r.port) + "/apis/ccompat/v7"
	if r.process, err = newProcess("registry", "KILL"); err != nil {
		return nil, err
	}
	return r, r.process.closed(r.start())
}

func (r *SchemaRegistry) start() error {
	cmd := r.program.command(r.process.dir,
		"-Dquarkus.http.host="+host, "-Dquarkus.http.port="+strconv.Itoa(r.port),
		"-DREGISTRY_DATASOURCE_URL=jdbc:h2:file:"+filepath.Join(r.process.dir, "schemas"),
		"io.quarkus.runner.GeneratedMain")
	return r.process.start(cmd, func() error { return answers(r.URL + "/subjects") })
}

// answers is readiness of a service that speaks HTTP.
func answers(address string) error {
	resp, err := http.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return nil
}
