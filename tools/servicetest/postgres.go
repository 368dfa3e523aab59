package servicetest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// PostgresServer is a PostgreSQL of 14 or later, ready for logical replication. It takes passwords (SCRAM), with and without TLS.
type PostgresServer struct {
	Host     string // 127.0.0.1
	Port     int    // stays over stops and starts
	User     string // the superuser
	Password string
	Version  int    // the major one: 15
	CA       string // PEM of the certificate that the server shows

	bin       string              // folder of the programs
	as        *syscall.Credential // whom they run as
	settings  []string
	process   *process
	databases atomic.Int32
}

var sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) { return startPostgres(nil) })

// Postgres is the server that the tests of a package share: each makes itself a Database, and none stops the server.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	p, err := sharedPostgres()
	return started(t, p, err)
}

// OwnPostgres starts a server for one test, with more settings: "logical_decoding_work_mem=64kB".
func OwnPostgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	p, err := startPostgres(settings)
	started(t, p, err).process.ends(t)
	return p
}

// URL is the superuser's way into a database, without TLS. "postgres" is a database that is always there.
func (p *PostgresServer) URL(database string) string { return p.URLOf(p.User, p.Password, database) }

// URLOf is a user's way into a database.
func (p *PostgresServer) URLOf(user, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: address(p.Port), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Database makes an empty database, which is dropped after the test with its replication slots, and gives its name.
func (p *PostgresServer) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	p.SQL(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() { p.drop(t, name) })
	return name
}

// drop ends those who read from slots of a database, then drops it. A stopped server keeps it.
func (p *PostgresServer) drop(t testing.TB, name string) {
	var err error
	for range 50 {
		if !p.process.running() {
			return
		}
		if _, err = p.sql("postgres", "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '"+name+"' AND active_pid IS NOT NULL"); err == nil {
			if _, err = p.sql("postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err == nil {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("drop database %s: %v", name, err)
}

// SQL runs statements as superuser, by psql, and gives their rows: a line each, "|" between the columns.
func (p *PostgresServer) SQL(t testing.TB, database, statements string) string {
	t.Helper()
	out, err := p.sql(database, statements)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *PostgresServer) sql(database, statements string) (string, error) {
	cmd := exec.Command(filepath.Join(p.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", p.Host, "-p", strconv.Itoa(p.Port), "-U", p.User, "-d", database)
	cmd.Env = append(postgresEnviron(), "PGPASSWORD="+p.Password, "PGSSLMODE=disable", "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8")
	cmd.Stdin = strings.NewReader(statements)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Stop ends the server in order: its clients are sent away.
func (p *PostgresServer) Stop(t testing.TB) { p.process.stop(syscall.SIGINT, 20*time.Second) }

// Kill ends the server as a crash does: at the next start it recovers from its log.
func (p *PostgresServer) Kill(t testing.TB) { p.process.stop(syscall.SIGQUIT, 5*time.Second) }

// Start starts a stopped server on its port and data, with more settings than it had.
func (p *PostgresServer) Start(t testing.TB, settings ...string) {
	t.Helper()
	p.settings = append(p.settings, settings...)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

// Log is the end of what the server logged.
func (p *PostgresServer) Log() string { return p.process.output() }

func startPostgres(settings []string) (*PostgresServer, error) {
	p := &PostgresServer{Host: host, User: "postgres", Password: "postgres-secret", settings: settings}
	var err error
	if p.bin, p.Version, err = findPostgres(); err != nil {
		return nil, err
	}
	if p.as, err = postgresUser(); err != nil {
		return nil, err
	}
	if p.Port, err = freePort(); err != nil {
		return nil, err
	}
	if p.process, err = newProcess("postgres", "QUIT"); err != nil {
		return nil, err
	}
	if err = p.init(); err == nil {
		err = p.start()
	}
	return p, p.process.closed(err)
}

func (p *PostgresServer) data() string { return filepath.Join(p.process.dir, "data") }

func (p *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = p.process.dir, &syscall.SysProcAttr{Credential: p.as}
	cmd.Env = postgresEnviron()
	return cmd
}

// postgresEnviron is our environment without what sets up some other PostgreSQL.
func postgresEnviron() []string {
	theirs := func(v string) bool { return strings.HasPrefix(v, "PG") }
	return append(slices.DeleteFunc(os.Environ(), theirs), "LC_ALL=C", "TZ=UTC")
}

// init makes the data folder, with a certificate in it.
func (p *PostgresServer) init() error {
	if err := p.own(p.process.dir); err != nil {
		return err
	}
	password := filepath.Join(p.process.dir, "password")
	if err := p.write(password, p.Password); err != nil {
		return err
	}
	initdb := p.command("initdb", "-D", p.data(), "-U", p.User, "--pwfile", password, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, out)
	}
	cert, key, err := selfSigned()
	if err != nil {
		return err
	}
	p.CA = cert
	if err := p.write(filepath.Join(p.data(), "server.crt"), cert); err != nil {
		return err
	}
	return p.write(filepath.Join(p.data(), "server.key"), key)
}

// write makes a file that the server's user alone may read.
func (p *PostgresServer) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return p.own(path)
}

func (p *PostgresServer) own(path string) error {
	if p.as == nil {
		return nil
	}
	return os.Chown(path, int(p.as.Uid), int(p.as.Gid))
}

func (p *PostgresServer) start() error {
	args := []string{"-D", p.data()}
	base := []string{
		"listen_addresses=" + host, "port=" + strconv.Itoa(p.Port), "unix_socket_directories=", "ssl=on", "timezone=UTC",
		"wal_level=logical", "max_replication_slots=40", "max_wal_senders=40", "shared_buffers=32MB", "fsync=off", "full_page_writes=off",
	}
	for _, s := range slices.Concat(base, p.settings) { // a later one wins
		args = append(args, "-c", s)
	}
	return p.process.start(p.command("postgres", args...), func() error {
		_, err := p.sql("postgres", "SELECT 1")
		return err
	})
}

// findPostgres is the folder of a PostgreSQL's programs: that of LAKESTEP_TEST_POSTGRES, or the newest of Debian's, or that of the PATH.
func findPostgres() (dir string, version int, err error) {
	dirs := []string{os.Getenv("LAKESTEP_TEST_POSTGRES")}
	if dirs[0] == "" {
		dirs, _ = filepath.Glob("/usr/lib/postgresql/*/bin")
		if initdb, err := exec.LookPath("initdb"); err == nil {
			if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
				dirs = append(dirs, filepath.Dir(initdb))
			}
		}
	}
	for _, d := range dirs {
		if v := postgresVersion(d); v > version {
			dir, version = d, v
		}
	}
	if version < 14 {
		return "", 0, missing("no PostgreSQL of 14 or later with initdb and psql to test against: install Debian's postgresql, or set LAKESTEP_TEST_POSTGRES to the folder of its programs")
	}
	return dir, version, nil
}

// postgresVersion is the major version of the programs in a folder, 0 when they are not all there.
func postgresVersion(dir string) int {
	for _, program := range []string{"initdb", "psql"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return 0
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	version, _ := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(string(out)))
	return version
}

// postgresUser is whom the server runs as, nil for us: it refuses root.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
	}
	return nil, missing("no PostgreSQL to test against: it does not run as root, and there is no user postgres or nobody")
}
