package servicetest

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// FakesnowServer is a fakesnow, which speaks Snowflake's protocol without TLS and runs its SQL on a DuckDB. It takes every user and password,
// and makes the database and schema that a session names.
type FakesnowServer struct {
	Host    string // 127.0.0.1
	Port    int    // stays over stops and starts
	Account string

	program   string
	process   *process
	databases atomic.Int32
}

var sharedFakesnow = sync.OnceValues(startFakesnow)

// Fakesnow is the server that the tests of a package share: each takes itself a Database, and none stops the server.
func Fakesnow(t testing.TB) *FakesnowServer {
	t.Helper()
	f, err := sharedFakesnow()
	return started(t, f, err)
}

// OwnFakesnow starts a server for one test.
func OwnFakesnow(t testing.TB) *FakesnowServer {
	t.Helper()
	f, err := startFakesnow()
	started(t, f, err).process.ends(t)
	return f
}

// Database is the name of a database that no other test uses.
func (f *FakesnowServer) Database() string { return fmt.Sprintf("TEST_%d", f.databases.Add(1)) }

// DSN is a way into a database's schema for gosnowflake.
func (f *FakesnowServer) DSN(database, schema string) string {
	return fmt.Sprintf("tester:secret@%s/%s/%s?account=%s&protocol=http", address(f.Port), database, schema, f.Account)
}

// Stop ends the server, which forgets everything.
func (f *FakesnowServer) Stop(t testing.TB) { f.process.stop(syscall.SIGKILL, 5*time.Second) }

// Start starts a stopped server on its port, empty.
func (f *FakesnowServer) Start(t testing.TB) {
	t.Helper()
	if err := f.start(); err != nil {
		t.Fatal(err)
	}
}

// Log is the end of what the server logged.
func (f *FakesnowServer) Log() string { return f.process.output() }

func startFakesnow() (*FakesnowServer, error) {
	f := &FakesnowServer{Host: host, Account: "fakesnow"}
	var err error
	if f.program, err = installed("fakesnow", "LAKESTEP_TEST_FAKESNOW"); err != nil {
		return nil, err
	}
	if f.Port, err = freePort(); err != nil {
		return nil, err
	}
	if f.process, err = newProcess("fakesnow", "KILL"); err != nil {
		return nil, err
	}
	return f, f.process.closed(f.start())
}

func (f *FakesnowServer) start() error {
	return f.process.start(exec.Command(f.program, "-s", "--host", host, "-p", strconv.Itoa(f.Port)), func() error { return listens(f.Port) })
}

// listens is readiness of a service that opens its port last.
func listens(port int) error {
	c, err := net.Dial("tcp", address(port))
	if err != nil {
		return err
	}
	return c.Close()
}
