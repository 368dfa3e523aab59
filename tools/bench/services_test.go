// Package bench_test starts the servers of `make bench/sources`, and fills a Kafka topic for it. run.py calls both as benchmarks: they need what
// servicetest gives to tests only, and `go test` does not run them by itself.
package bench_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/lakestep/lakestep/tools/servicetest"
)

var (
	withPostgres = flag.Bool("postgres", false, "start PostgreSQL")
	withKafka    = flag.Bool("kafka", false, "start Kafka and a schema registry")
)

// addresses is what BenchmarkServices prints, behind the word ADDRESSES.
type addresses struct {
	Postgres string `json:"postgres,omitempty"` // URL of a database
	Version  int    `json:"version,omitempty"`
	Kafka    string `json:"kafka,omitempty"`
	Registry string `json:"registry,omitempty"`
}

// BenchmarkServices runs the servers until its input ends.
func BenchmarkServices(b *testing.B) {
	var a addresses
	if *withPostgres {
		// A server of some size, that writes its log without checkpoints in between: what is measured is who reads from it.
		p := servicetest.OwnPostgres(b, "shared_buffers=512MB", "max_wal_size=20GB", "checkpoint_timeout=1h", "logical_decoding_work_mem=64MB", "autovacuum=off")
		a.Postgres, a.Version = p.URL("postgres"), p.Version
	}
	if *withKafka {
		a.Kafka, a.Registry = servicetest.OwnKafka(b).Plaintext, servicetest.OwnRegistry(b).URL
	}
	line, err := json.Marshal(a)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Println("ADDRESSES", string(line))
	_, _ = io.Copy(io.Discard, os.Stdin)
}
