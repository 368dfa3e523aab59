package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/tools/lambdatest"
)

// TestLongLoad loads more than a function has time for: the page ends with half of the time, is committed, and the state machine asks for another round.
// No round is cut off, and none fails.
func TestLongLoad(t *testing.T) {
	const files, each, timeout = 60, 200 * time.Millisecond, 8 * time.Second // 12 s of waiting at least
	dir := t.TempDir()
	yaml := `name: slow
lake: lake
vars: { landing: landing }
sources:
  landing:
    connector: files
    path: '{{ var "landing" }}'
    streams:
      orders: { path: 'orders/*.csv', format: csv }
bronze:
  raw_orders: { stream: landing.orders }
`
	if err := os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, dir)
	s := c.store()
	for i := range files {
		if err := s.Put(t.Context(), fmt.Sprintf("landing/orders/%03d.csv", i), strings.NewReader(fmt.Sprintf("id\n%d\n", i)), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	upstream, err := url.Parse(c.s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = upstream.Scheme, upstream.Host }}
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/landing/orders/") {
			time.Sleep(each)
		}
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	o := c.functions["bronze"].Options
	o.Timeout = timeout
	o.Env = append(o.Env, "AWS_ENDPOINT_URL_S3="+slow.URL) // the last of a name counts
	c.functions["bronze"] = lambdatest.New(t, o)
	c.service.Add("bronze", c.functions["bronze"])
	c.runByHand("long")
	states, err := c.machine.States(t.Context(), c.machine.Execution("long"))
	if err != nil {
		t.Fatal(err)
	}
	if n := rounds(states, "Bronze"); n < 3 || n > 8 {
		t.Errorf("%d rounds", n)
	}
	if log := c.functions["bronze"].Log(); strings.Contains(log, `"failed"`) || len(c.functions["bronze"].ColdStarts()) != 1 {
		t.Errorf("a round failed, or was cut off:\n%s", log)
	}
	if n := c.count("bronze.raw_orders"); n != files {
		t.Errorf("%d rows, want %d", n, files)
	}
}
