package storetest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Service is an object service that a test started, and that ends with the test.
type Service struct {
	Endpoint  string // "http://127.0.0.1:4711"; of Azurite with the account's name
	AccessKey string // of Azurite: the account
	SecretKey string
	bucket    func(t testing.TB, name string)
	buckets   *atomic.Int32
}

// Bucket makes a new bucket and gives its name. Azurite's containers are made by the SDK: of those it gives just a new name.
func (s Service) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	s.bucket(t, name)
	return name
}

// Versitygw starts the S3 gateway that LAKESTEP_TEST_VERSITYGW names, over a new folder. Without the variable the test is skipped.
func Versitygw(t testing.TB) Service {
	t.Helper()
	program := needs(t, "LAKESTEP_TEST_VERSITYGW")
	port, dir := freePort(t), t.TempDir()
	s := Service{Endpoint: "http://127.0.0.1:" + port, AccessKey: "tester", SecretKey: "tester-secret", buckets: new(atomic.Int32)}
	s.bucket = func(t testing.TB, name string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	start(t, port, program, "--port", "127.0.0.1:"+port, "--access", s.AccessKey, "--secret", s.SecretKey, "--quiet", "posix", dir)
	return s
}

// Moto starts the mock of AWS that LAKESTEP_TEST_MOTO names (moto_server), with some settings more (NAME=value). Without the variable the test is skipped.
func Moto(t testing.TB, env ...string) Service {
	t.Helper()
	program := needs(t, "LAKESTEP_TEST_MOTO")
	port := freePort(t)
	s := Service{Endpoint: "http://127.0.0.1:" + port, AccessKey: "tester", SecretKey: "tester-secret", buckets: new(atomic.Int32)}
	s.bucket = func(t testing.TB, name string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Endpoint+"/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	start(t, port, "env", append(env, program, "-H", "127.0.0.1", "-p", port)...)
	return s
}

// Atomic gives a moto what S3 has and it lacks: it looks whether an object is there, and then writes it, while others do the same. So writes go through
// one by one.
func (s Service) Atomic(t testing.TB) Service {
	t.Helper()
	behind, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = behind.Scheme, behind.Host }}
	proxy.ErrorLog = log.New(io.Discard, "", 0) // clients that give up are part of tests
	var one sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			one.Lock()
			defer one.Unlock()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.Endpoint = server.URL
	return s
}

// Azurite starts the emulator of Azure Blob that LAKESTEP_TEST_AZURITE names (azurite-blob), over a new folder. Without the variable the test is
// skipped. The account is the one that all the world knows.
func Azurite(t testing.TB) Service {
	t.Helper()
	program := needs(t, "LAKESTEP_TEST_AZURITE")
	port := freePort(t)
	s := Service{
		Endpoint: "http://127.0.0.1:" + port + "/devstoreaccount1", AccessKey: "devstoreaccount1",
		SecretKey: "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
		bucket:    func(testing.TB, string) {}, buckets: new(atomic.Int32),
	}
	start(t, port, program, "--silent", "--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", port, "-l", t.TempDir())
	return s
}

// ConnectionString is that of an Azurite.
func (s Service) ConnectionString() string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;", s.AccessKey, s.SecretKey, s.Endpoint)
}

func needs(t testing.TB, variable string) string {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skipf("SKIPPED: no object service to test against: %s is not set (tools/test.sh sets it, where tools/setup.sh could install one)", variable)
	}
	return program
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// start runs a server until the test ends, and waits until it takes connections. The shell in between ends the server also when the test's
// process is killed: its input ends then.
func start(t testing.TB, port, program string, args ...string) {
	t.Helper()
	const script = `"$@" </dev/null & p=$!; cat >/dev/null; kill -9 $p; wait $p`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", program}, args...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &output, &output, t.TempDir()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		stdin.Close()
		_ = cmd.Wait() // it was killed
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("%s does not listen:\n%s", program, output.String())
		}
	}
	t.Cleanup(stop)
}
