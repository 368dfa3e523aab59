package servicetest_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/servicetest"
)

func TestPostgres(t *testing.T) {
	p := servicetest.Postgres(t)
	if p != servicetest.Postgres(t) {
		t.Error("the tests of a package share a server")
	}
	a, b := p.Database(t), p.Database(t)
	p.SQL(t, a, "CREATE TABLE x (n int); INSERT INTO x VALUES (1), (2)")
	if got := p.SQL(t, a, "SELECT n, n * 2 FROM x ORDER BY n"); got != "1|2\n2|4" {
		t.Errorf("rows %q", got)
	}
	if got := p.SQL(t, b, "SELECT count(*) FROM pg_class WHERE relname = 'x'"); got != "0" {
		t.Errorf("another database has the table %s times", got)
	}
	if got := p.SQL(t, a, "SHOW wal_level"); got != "logical" {
		t.Errorf("wal_level %q", got)
	}
	if u := p.URL(a); !strings.HasPrefix(u, "postgres://postgres:") || !strings.Contains(u, "@127.0.0.1:"+strconv.Itoa(p.Port)+"/"+a) {
		t.Error(u)
	}
}

// A database goes with its slots after the test that made it.
func TestPostgresDropsSlots(t *testing.T) {
	p := servicetest.Postgres(t)
	t.Run("makes a slot", func(t *testing.T) {
		p.SQL(t, p.Database(t), "SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")
	})
	if got := p.SQL(t, "postgres", "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'left_behind'"); got != "0" {
		t.Errorf("%s slots are left", got)
	}
}

// A client that has the server's certificate can trust it.
func TestPostgresTLS(t *testing.T) {
	p := servicetest.Postgres(t)
	c, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := c.Read(answer); err != nil || answer[0] != 'S' {
		t.Fatalf("answer %q, %v", answer, err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(p.CA))
	if err := tls.Client(c, &tls.Config{RootCAs: pool, ServerName: p.Host}).Handshake(); err != nil {
		t.Error(err)
	}
}

func TestPostgresStopsAndStarts(t *testing.T) {
	t.Parallel()
	p := servicetest.OwnPostgres(t, "logical_decoding_work_mem=64kB")
	p.SQL(t, "postgres", "CREATE TABLE x (n int); INSERT INTO x VALUES (1)")
	if got := p.SQL(t, "postgres", "SHOW logical_decoding_work_mem"); got != "64kB" {
		t.Errorf("logical_decoding_work_mem %q", got)
	}
	p.Stop(t)
	if c, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(p.Port))); err == nil {
		c.Close()
		t.Error("a stopped server takes connections")
	}
	p.Start(t, "max_wal_senders=7")
	p.SQL(t, "postgres", "INSERT INTO x VALUES (2)")
	p.Kill(t)
	p.Start(t)
	if got := p.SQL(t, "postgres", "SELECT count(*), current_setting('max_wal_senders') FROM x"); got != "2|7" {
		t.Errorf("after a crash: %q", got)
	}
	if !strings.Contains(p.Log(), "was not properly shut down") {
		t.Errorf("no crash in the log:\n%s", p.Log())
	}
}

// A service and its folder are gone when the test's process is killed.
func TestServicesDieWithTheTest(t *testing.T) {
	if os.Getenv("LAKESTEP_TEST_DIE") != "" {
		p := servicetest.OwnPostgres(t)
		fmt.Println("DATA", p.SQL(t, "postgres", "SHOW data_directory"), p.SQL(t, "postgres", `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)`))
		select {}
	}
	servicetest.Postgres(t) // or skip
	cmd := exec.Command(os.Args[0], "-test.run", "^TestServicesDieWithTheTest$")
	cmd.Env = append(os.Environ(), "LAKESTEP_TEST_DIE=1")
	words := killAfterLine(t, cmd, "DATA ")
	data, server := words[0], "/proc/"+words[1]+"/cmdline" // empty of one that died and that nobody asked about
	waitUntil(t, "the folder is gone", func() bool {
		_, err := os.Stat(data)
		return os.IsNotExist(err)
	})
	waitUntil(t, "the server is gone", func() bool {
		line, _ := os.ReadFile(server)
		return len(line) == 0
	})
}
