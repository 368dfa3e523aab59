package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/tools/servicetest"
)

const killedPipeline = `name: killed
lake: lake
sources:
  bus:
    connector: kafka
    bootstrap_servers: [%s]
    security.protocol: PLAINTEXT
    streams:
      numbers: { topic: numbers, value_format: json, page_rows: 300 }
  db:
    connector: postgres
    url: env:KILLED_DATABASE_URL
    streams:
      accounts: { table: accounts, mode: cdc, page_rows: 300, chunk_rows: 200 }
bronze:
  numbers: { stream: bus.numbers, columns: { n: bigint } }
  accounts: { stream: db.accounts, columns: { id: bigint, balance: bigint } }
silver:
  accounts:
    model: accounts.sql
    materialized: merge
    unique_key: id
    sequence_by: change_seq
    operation: op
    deletes: hard
`

const killedModel = `SELECT _row, _op AS op, _seq AS change_seq, id, balance FROM {{ changes "bronze.accounts" }}
`

// killed is a pipeline of two sources that are written to all the time, drained by a program that is killed again and again.
type killed struct {
	t        *testing.T
	dir      string
	binary   string
	database string
	bus      *kgo.Client
	sent     int64
}

// Effectively once: however often the streaming drain is killed, each message and each change counts once.
func TestKilledDrain(t *testing.T) {
	kills := 8
	if os.Getenv("LAKESTEP_LONG") != "" {
		kills = 100
	}
	k := newKilled(t)
	ctx, stop := context.WithCancel(t.Context())
	writers := make(chan error, 2)
	go func() { writers <- k.produce(ctx) }()
	go func() { writers <- k.transfer(ctx) }()
	for i := range kills {
		cmd := k.program("stream", "--every", "20ms")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		_ = cmd.Wait() // killed
	}
	stop()
	for range 2 {
		if err := <-writers; err != nil {
			t.Fatal(err)
		}
	}
	k.drain()
	k.compare()
	t.Logf("SCORE: drain killed %d times: %d messages, each once", kills, k.sent)
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	k := &killed{t: t, dir: t.TempDir()}
	shop, bus := servicetest.Postgres(t), servicetest.Kafka(t)
	k.database = shop.URL(shop.Database(t))
	k.binary = filepath.Join(k.dir, "lakestep")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", k.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, text := range map[string]string{"pipeline.yaml": fmt.Sprintf(killedPipeline, bus.Plaintext), "accounts.sql": killedModel} {
		if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bus.Plaintext), kgo.DefaultProduceTopic("numbers"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.bus = client
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 4, 1, nil, "numbers"); err != nil {
		t.Fatal(err)
	}
	k.connect(t.Context(), func(c *pgx.Conn) error {
		_, err := c.Exec(t.Context(), "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL); INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 1000) i")
		return err
	})
	return k
}

func (k *killed) connect(ctx context.Context, do func(*pgx.Conn) error) {
	k.t.Helper()
	c, err := pgx.Connect(ctx, k.database)
	if err != nil {
		k.t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	if err := do(c); err != nil {
		k.t.Fatal(err)
	}
}

func (k *killed) program(command string, args ...string) *exec.Cmd {
	cmd := exec.Command(k.binary, append([]string{command, k.dir, "--lake", filepath.Join(k.dir, "lake"), "--memory", "300"}, args...)...)
	cmd.Env = append(os.Environ(), "KILLED_DATABASE_URL="+k.database)
	return cmd
}

// produce sends numbers, each once, until it is told to stop.
func (k *killed) produce(ctx context.Context) error {
	for ; ctx.Err() == nil; k.sent++ {
		r := &kgo.Record{Key: fmt.Append(nil, k.sent), Value: fmt.Appendf(nil, `{"n": %d}`, k.sent)}
		if err := k.bus.ProduceSync(context.WithoutCancel(ctx), r).FirstErr(); err != nil {
			return err
		}
		if k.sent%20 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// transfer moves money between accounts, opens and closes some: the sum stays.
func (k *killed) transfer(ctx context.Context) error {
	c, err := pgx.Connect(ctx, k.database)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	random := rand.New(rand.NewPCG(3, 4))
	for i := 0; ctx.Err() == nil; i++ {
		a, b := 1+random.IntN(1000), 1+random.IntN(1000)
		statements := fmt.Sprintf(`BEGIN; UPDATE accounts SET balance = balance - 7 WHERE id = %d; UPDATE accounts SET balance = balance + 7 WHERE id = %d;
			INSERT INTO accounts VALUES (%d, 0); DELETE FROM accounts WHERE id = %d; COMMIT`, a, b, 10_000+i, 10_000+i-50)
		if _, err := c.Exec(context.WithoutCancel(ctx), statements); err != nil {
			return err
		}
		if i%10 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// drain runs until nothing is new.
func (k *killed) drain() {
	k.t.Helper()
	for range 20 {
		out, err := k.program("run").CombinedOutput()
		if err != nil {
			k.t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "Nothing is new") {
			return
		}
	}
	k.t.Fatal("something is always new")
}

func (k *killed) query(sql string) []map[string]any {
	k.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(k.binary, "query", sql, "-p", k.dir, "--lake", filepath.Join(k.dir, "lake"), "-o", "json", "--limit", "1000000")
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, append(os.Environ(), "KILLED_DATABASE_URL="+k.database)
	if err := cmd.Run(); err != nil {
		k.t.Fatalf("%v\n%s", err, stderr.String())
	}
	var rows []map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &rows); err != nil {
		k.t.Fatal(err)
	}
	return rows
}

// compare holds bronze against what was sent, and silver against the database.
func (k *killed) compare() {
	k.t.Helper()
	want := fmt.Sprint(map[string]any{"rows": k.sent, "places": k.sent, "numbers": k.sent, "total": k.sent * (k.sent - 1) / 2})
	got := k.query("SELECT count(*) AS rows, count(DISTINCT (_partition, _offset)) AS places, count(DISTINCT n) AS numbers, sum(n)::BIGINT AS total FROM bronze.numbers")
	if fmt.Sprintf("%.0f", got[0]["rows"]) != fmt.Sprint(k.sent) || fmt.Sprintf("%.0f", got[0]["places"]) != fmt.Sprint(k.sent) || fmt.Sprintf("%.0f", got[0]["numbers"]) != fmt.Sprint(k.sent) {
		k.t.Errorf("messages: %v, want %s", got, want)
	}
	accounts := map[string]string{}
	k.connect(k.t.Context(), func(c *pgx.Conn) error {
		rows, err := c.Query(k.t.Context(), "SELECT id::text, balance::text FROM accounts")
		if err != nil {
			return err
		}
		var id, balance string
		_, err = pgx.ForEachRow(rows, []any{&id, &balance}, func() error { accounts[id] = balance; return nil })
		return err
	})
	held := map[string]string{}
	for _, r := range k.query("SELECT id::VARCHAR AS id, balance::VARCHAR AS balance FROM silver.accounts") {
		id := r["id"].(string)
		if _, twice := held[id]; twice {
			k.t.Errorf("account %s stands twice", id)
		}
		held[id] = r["balance"].(string)
	}
	if diff := cmp.Diff(accounts, held); diff != "" {
		k.t.Errorf("accounts, database -, lake +\n%.2000s", diff)
	}
}
