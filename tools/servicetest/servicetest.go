// Package servicetest starts real services for tests: PostgreSQL, Kafka, a schema registry, and fakesnow in Snowflake's place. Of each there is
// one that all tests of a package share, since a start costs seconds ("Postgres"), and one for a single test, that it may stop and start as it
// likes ("OwnPostgres"). Where the program cannot be had, the test is skipped, and `make test` lists that in the end.
package servicetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	host       = "127.0.0.1"     // nothing here listens elsewhere
	startLimit = 2 * time.Minute // slow machines run several packages at once
)

// missing is why a service cannot be had here.
type missing string

func (m missing) Error() string { return string(m) }

// started gives a service to a test that can have it.
func started[S any](t testing.TB, s S, err error) S {
	t.Helper()
	var m missing
	if errors.As(err, &m) {
		t.Skipf("SKIPPED: %s", m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// installed is the path in an environment variable that tools/test.sh sets when tools/setup.sh could install what it names.
func installed(what, variable string) (string, error) {
	value := os.Getenv(variable)
	if value == "" {
		return "", missing(fmt.Sprintf("no %s to test against: %s is not set (tools/test.sh sets it, where tools/setup.sh could install one)", what, variable))
	}
	return value, nil
}

// freePort is a port that nobody listens on. It is below those that the system gives to clients: else a client that tries again and again
// while its service is stopped would one day get the service's port as its own, and be connected to itself.
func freePort() (int, error) {
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("no free port between 12000 and 32000")
}

func freePorts(ports ...*int) (err error) {
	for _, p := range ports {
		if *p, err = freePort(); err != nil {
			return err
		}
	}
	return nil
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
