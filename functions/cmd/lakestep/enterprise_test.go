package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	_ "github.com/snowflakedb/gosnowflake"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/lakestep/lakestep/tools/servicetest"
)

// The enterprise pipeline against real parts: batch, increments, and again after each source was interrupted. What silver and gold hold is
// compared with what the sources hold, row for row.
func TestEnterprise(t *testing.T) {
	e := newEnterprise(t)
	e.seed()
	e.check()
	e.lakestep(0, "run", e.pipeline)
	e.compare("the first run")
	if out := e.lakestep(0, "run", e.pipeline); !strings.Contains(out, "Nothing is new") {
		t.Errorf("a second run without changes says\n%s", out)
	}
	for i := range 3 {
		e.change()
		e.lakestep(0, "run", e.pipeline)
		e.compare(fmt.Sprint("increment ", i))
	}
	for _, source := range e.stoppable() {
		e.without(source)
	}
	e.lakestep(0, "run", e.pipeline, "--full-refresh", "bronze.raw_orders", "--full-refresh", "bronze.raw_web_events")
	e.compare("a full refresh")
	e.noSecrets()
}

// enterprise is config/enterprise with its sources.
type enterprise struct {
	t             *testing.T
	dir, pipeline string
	lake          string
	shop          *servicetest.PostgresServer
	bus           *servicetest.KafkaBroker
	registry      *servicetest.SchemaRegistry
	warehouse     *servicetest.FakesnowServer
	way           *way // to the warehouse
	schema        *avro.Schema
	schemaID      int
	nextOrder     int
	nextCustomer  int
	nextEvent     int
	random        *rand.Rand
	events        map[string]string // by id: what was sent of it last
	secrets       []string
	out           bytes.Buffer // all that lakestep ever printed
	clock         time.Time
}

const eventSchema = `{"type":"record","name":"WebEvent","fields":[
	{"name":"event_id","type":"string"},
	{"name":"customer_id","type":["null","long"]},
	{"name":"product_id","type":["null","long"]},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["view","cart","purchase","other"]}},
	{"name":"page","type":"string"},
	{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

func newEnterprise(t *testing.T) *enterprise {
	t.Helper()
	e := &enterprise{t: t, dir: t.TempDir(), shop: servicetest.OwnPostgres(t, "max_slot_wal_keep_size=1GB"), bus: servicetest.OwnKafka(t), registry: servicetest.Registry(t),
		warehouse: servicetest.OwnFakesnow(t), random: rand.New(rand.NewPCG(1, 2)), events: map[string]string{}, clock: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	e.way = newWay(t, fmt.Sprintf("%s:%d", e.warehouse.Host, e.warehouse.Port))
	e.pipeline, e.lake = filepath.Join(e.dir, "config"), filepath.Join(e.dir, "lake")
	if err := os.CopyFS(e.pipeline, os.DirFS("../../../config/enterprise")); err != nil {
		t.Fatal(err)
	}
	e.configure()
	return e
}

// configure points the pipeline to the services. Only what no variable says is edited: fakesnow's address, and the broker's certificate.
func (e *enterprise) configure() {
	ca := filepath.Join(e.dir, "ca.pem")
	e.must(os.WriteFile(ca, []byte(e.bus.CA), 0o644))
	path := filepath.Join(e.pipeline, "pipeline.yaml")
	raw, err := os.ReadFile(path)
	e.must(err)
	host, port, _ := strings.Cut(e.way.address, ":")
	text := strings.NewReplacer(
		"    statement_timeout: 10m\n", fmt.Sprintf("    statement_timeout: 10m\n    host: %s\n    port: %s\n    protocol: http\n", host, port),
		"    sasl.mechanism: PLAIN\n", "    sasl.mechanism: PLAIN\n    ssl.ca.location: "+ca+"\n").Replace(string(raw))
	e.must(os.WriteFile(path, []byte(text), 0o644))
	canary := func(name string) string { return "canary-" + name + "-" + strconv.Itoa(os.Getpid()) }
	for name, value := range map[string]string{"SNOWFLAKE_USERNAME": "fake", "SNOWFLAKE_PASSWORD": canary("snow"), "POSTGRES_USERNAME": "lakestep",
		"POSTGRES_PASSWORD": canary("pg"), "KAFKA_USERNAME": e.bus.User, "KAFKA_PASSWORD": e.bus.Password} {
		e.t.Setenv(name, value)
		if strings.HasSuffix(name, "PASSWORD") {
			e.secrets = append(e.secrets, value)
		}
	}
}

func (e *enterprise) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// try runs lakestep in this process.
func (e *enterprise) try(args ...string) (code int, out string) {
	var stdout, stderr bytes.Buffer
	args = append(args, "--lake", e.lake, "--var", "postgres_port="+strconv.Itoa(e.shop.Port), "--var", "postgres_host=127.0.0.1",
		"--var", "kafka_servers="+e.bus.SASLTLS, "--var", "schema_registry_url="+e.registry.URL)
	began := time.Now()
	code = run(context.WithoutCancel(e.t.Context()), args, &stdout, &stderr)
	e.t.Logf("%.1fs %s: %d", time.Since(began).Seconds(), args[0], code)
	e.out.Write(stdout.Bytes())
	e.out.Write(stderr.Bytes())
	return code, stdout.String() + stderr.String()
}

func (e *enterprise) lakestep(want int, args ...string) string {
	e.t.Helper()
	code, out := e.try(args...)
	if code != want {
		e.t.Fatalf("lakestep %s ends with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// untilDone runs until a run ends well: a source that just came back may need a moment.
func (e *enterprise) untilDone(what string) {
	e.t.Helper()
	var out string
	for range 10 {
		var code int
		if code, out = e.try("run", e.pipeline); code == 0 {
			return
		} else if code != 6 {
			break
		}
		time.Sleep(time.Second)
	}
	e.t.Fatalf("%s, and no run ends well:\n%s", what, out)
}

// stoppableSource is a service that can go away.
type stoppableSource struct {
	name              string
	stop, kill, start func(testing.TB)
}

func (e *enterprise) stoppable() []stoppableSource {
	again := func(start func(testing.TB, ...string)) func(testing.TB) { return func(t testing.TB) { start(t) } }
	all := []stoppableSource{
		{"PostgreSQL", e.shop.Stop, e.shop.Kill, again(e.shop.Start)},
		{"Kafka", e.bus.Kill, e.bus.Kill, e.bus.Start},
		{"Snowflake", e.way.cut, e.way.cut, e.way.mend},
	}
	if os.Getenv("LAKESTEP_LONG") == "" {
		return all[:2] // the third takes minutes: the driver has a patience of its own
	}
	return all
}

func (e *enterprise) postgres(do func(*pgx.Conn)) {
	e.t.Helper()
	conn, err := pgx.Connect(e.t.Context(), e.shop.URL("shop"))
	e.must(err)
	defer conn.Close(e.t.Context())
	do(conn)
}

func (e *enterprise) snowflake(do func(*sql.DB)) {
	e.t.Helper()
	db, err := sql.Open("snowflake", e.warehouse.DSN("ENTERPRISE", "SALES"))
	e.must(err)
	defer db.Close()
	do(db)
}

// seed fills the sources.
func (e *enterprise) seed() {
	e.t.Helper()
	e.shop.SQL(e.t, "postgres", "CREATE DATABASE shop; CREATE ROLE lakestep LOGIN REPLICATION PASSWORD '"+os.Getenv("POSTGRES_PASSWORD")+"'")
	e.shop.SQL(e.t, "shop", `
		CREATE TABLE orders (order_id bigint PRIMARY KEY, customer_id bigint, product_id bigint, quantity integer NOT NULL, unit_price numeric(12,2) NOT NULL,
			currency text NOT NULL, status text NOT NULL, note text, ordered_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
		ALTER TABLE orders ALTER note SET STORAGE EXTERNAL;
		CREATE PUBLICATION lakestep_enterprise_postgresql_orders FOR TABLE orders;
		GRANT SELECT ON orders TO lakestep`)
	e.snowflake(func(db *sql.DB) {
		for _, s := range []string{"CREATE DATABASE IF NOT EXISTS ENTERPRISE", "CREATE SCHEMA IF NOT EXISTS ENTERPRISE.SALES",
			"CREATE TABLE ENTERPRISE.SALES.CUSTOMERS (CUSTOMER_ID NUMBER(18,0), EMAIL TEXT, NAME TEXT, COUNTRY TEXT, SEGMENT TEXT, CREDIT_LIMIT NUMBER(12,2), UPDATED_AT TIMESTAMP_NTZ)",
			"CREATE TABLE ENTERPRISE.SALES.PRODUCTS (PRODUCT_ID NUMBER(18,0), NAME TEXT, CATEGORY TEXT, UNIT_COST NUMBER(12,2), UPDATED_AT TIMESTAMP_NTZ)",
			`INSERT INTO ENTERPRISE.SALES.PRODUCTS SELECT i, 'Product ' || i, 'cat' || (i % 3), i * 1.25, '2026-01-01'::TIMESTAMP FROM (VALUES (1), (2), (3), (4), (5), (6), (7)) v(i)`} {
			_, err := db.ExecContext(e.t.Context(), s)
			e.must(err)
		}
	})
	e.topic()
	for range 3 {
		e.change()
	}
}

// topic makes the topic, and registers its schema.
func (e *enterprise) topic() {
	e.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(e.bus.Plaintext))
	e.must(err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(e.t.Context(), 3, 1, nil, "web.events")
	e.must(err)
	registry, err := sr.NewClient(sr.URLs(e.registry.URL))
	e.must(err)
	made, err := registry.CreateSchema(e.t.Context(), "web.events-value", sr.Schema{Schema: eventSchema, Type: sr.TypeAvro})
	e.must(err)
	e.schemaID = made.ID
	e.schema, err = avro.Parse(eventSchema)
	e.must(err)
}

// without takes a source away, before a run and in the middle of one. A run waits for it, with growing pauses, before it gives up.
func (e *enterprise) without(source stoppableSource) {
	e.t.Helper()
	e.change()
	source.stop(e.t)
	if code, out := e.try("run", e.pipeline); code != 6 {
		e.t.Errorf("without %s the run ends with %d:\n%s", source.name, code, out)
	}
	source.start(e.t)
	e.change()
	e.untilDone(source.name + " is back")
	e.compare(source.name + " was away")
	if os.Getenv("LAKESTEP_LONG") == "" {
		return
	}
	e.change()
	interrupted := make(chan struct{})
	go func() {
		defer close(interrupted)
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		source.kill(e.t)
	}()
	e.try("run", e.pipeline)
	<-interrupted
	source.start(e.t)
	e.untilDone(source.name + " is back once more")
	e.compare(source.name + " was killed in the middle of a run")
}

// check asks the sources whether all is there. fakesnow knows no warehouses.
func (e *enterprise) check() {
	e.t.Helper()
	code, out := e.try("source", "check", "-p", e.pipeline)
	failed := strings.Count(out, "FAILED")
	if code != 2 || failed != 1 || !strings.Contains(out, "FAILED  warehouse") {
		e.t.Errorf("source check ends with %d:\n%s", code, out)
	}
}

// change lets each source go on: new rows, changed and deleted ones.
func (e *enterprise) change() {
	e.t.Helper()
	e.clock = e.clock.Add(time.Hour)
	e.changeOrders()
	e.changeCustomers()
	e.sendEvents()
}

func (e *enterprise) changeOrders() {
	at := e.clock.Format(time.RFC3339)
	e.postgres(func(c *pgx.Conn) {
		exec := func(sql string, args ...any) {
			e.t.Helper()
			_, err := c.Exec(e.t.Context(), sql, args...)
			e.must(err)
		}
		exec(`INSERT INTO orders SELECT i, 1 + i % 40, 1 + i % 8, 1 + i % 5, (i % 100) * 1.5 + 1, (ARRAY['USD','eur','GBP'])[1 + i % 3], 'Pending', repeat(md5(i::text), 200), $1, $1
			FROM generate_series($2::bigint, $2::bigint + 199) i`, at, e.nextOrder+1)
		e.nextOrder += 200
		exec("UPDATE orders SET status = 'Shipped', updated_at = $1 WHERE order_id % 7 = $2", at, e.random.IntN(7)) // note stays out of the log
		exec("DELETE FROM orders WHERE order_id % 23 = $1", e.random.IntN(23))
		exec("UPDATE orders SET order_id = order_id + 1000000, updated_at = $1 WHERE order_id = (SELECT min(order_id) FROM orders)", at)
		tx, err := c.Begin(e.t.Context())
		e.must(err)
		_, err = tx.Exec(e.t.Context(), "DELETE FROM orders")
		e.must(err)
		e.must(tx.Rollback(e.t.Context()))
	})
}

func (e *enterprise) changeCustomers() {
	at := e.clock.Format("2006-01-02 15:04:05")
	e.snowflake(func(db *sql.DB) {
		var rows []string
		for range 20 {
			e.nextCustomer++
			rows = append(rows, fmt.Sprintf("(%d, 'c%d@example.com', 'Customer %d', 'de', 'smb', %d.50, '%s'::TIMESTAMP)", e.nextCustomer, e.nextCustomer, e.nextCustomer, e.nextCustomer*10, at))
		}
		for _, s := range []string{"INSERT INTO CUSTOMERS VALUES " + strings.Join(rows, ", "),
			fmt.Sprintf("UPDATE CUSTOMERS SET SEGMENT = 'enterprise', UPDATED_AT = '%s'::TIMESTAMP WHERE CUSTOMER_ID %% 9 = %d", at, e.random.IntN(9))} {
			_, err := db.ExecContext(e.t.Context(), s)
			e.must(err)
		}
	})
}

// sendEvents sends good messages and a few that are none.
func (e *enterprise) sendEvents() {
	client, err := kgo.NewClient(kgo.SeedBrokers(e.bus.Plaintext), kgo.DefaultProduceTopic("web.events"), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	e.must(err)
	defer client.Close()
	header := []byte{0, byte(e.schemaID >> 24), byte(e.schemaID >> 16), byte(e.schemaID >> 8), byte(e.schemaID)}
	var records []*kgo.Record
	for range 100 {
		e.nextEvent++
		id := fmt.Sprintf("e%06d", e.nextEvent)
		at := e.clock.Add(time.Duration(e.nextEvent) * time.Second)
		event := map[string]any{"event_id": id, "customer_id": int64(1 + e.nextEvent%50), "product_id": nil, "kind": []string{"view", "cart", "purchase", "other"}[e.nextEvent%4],
			"page": fmt.Sprint("/p/", e.nextEvent), "occurred_at": at}
		value, err := e.schema.AppendEncode(bytes.Clone(header), event)
		e.must(err)
		records = append(records, &kgo.Record{Key: []byte(id), Value: value})
		if e.nextEvent%4 != 3 { // the rule bad_kind
			e.events[id] = fmt.Sprintf("%s|%d|%s|%s", id, 1+e.nextEvent%50, event["kind"], at.UTC().Format("2006-01-02 15:04:05+00"))
		}
	}
	records = append(records, &kgo.Record{Key: []byte("poison"), Value: []byte("not avro")})
	e.must(client.ProduceSync(e.t.Context(), records...).FirstErr())
}

// query gives rows of the lake as lines.
func (e *enterprise) query(sql string) map[string]string {
	e.t.Helper()
	out := e.lakestep(0, "query", sql, "-p", e.pipeline, "-o", "json", "--limit", "1000000")
	var rows []struct{ K, V string }
	e.must(json.Unmarshal([]byte(out), &rows))
	got := map[string]string{}
	for _, r := range rows {
		if _, twice := got[r.K]; twice {
			e.t.Errorf("%s stands twice", r.K)
		}
		got[r.K] = r.V
	}
	return got
}

// compare holds silver and gold against the sources.
func (e *enterprise) compare(after string) {
	e.t.Helper()
	want := map[string]string{}
	e.postgres(func(c *pgx.Conn) {
		rows, err := c.Query(e.t.Context(), `SELECT order_id::text, concat_ws('|', customer_id, product_id, quantity, unit_price, upper(currency), lower(status), md5(note), extract(epoch from ordered_at)::bigint, extract(epoch from updated_at)::bigint) FROM orders`)
		e.must(err)
		var k, v string
		_, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { want[k] = v; return nil })
		e.must(err)
	})
	got := e.query(`SELECT order_id::VARCHAR AS k, concat_ws('|', customer_id, product_id, quantity, unit_price, currency, status, md5(note), epoch(ordered_at)::BIGINT, epoch(updated_at)::BIGINT) AS v FROM silver.orders WHERE NOT is_deleted`)
	e.same(after, "orders", want, got)
	facts := e.query("SELECT order_id::VARCHAR AS k, '' AS v FROM gold.fact_orders")
	if len(facts) != len(want) {
		e.t.Errorf("after %s: %d facts of %d orders", after, len(facts), len(want))
	}
	customers := map[string]string{}
	e.snowflake(func(db *sql.DB) {
		rows, err := db.QueryContext(e.t.Context(), "SELECT CUSTOMER_ID::TEXT, EMAIL || '|' || SEGMENT FROM CUSTOMERS")
		e.must(err)
		defer rows.Close()
		for rows.Next() {
			var k, v string
			e.must(rows.Scan(&k, &v))
			customers[k] = v
		}
		e.must(rows.Err())
	})
	e.same(after, "customers", customers, e.query("SELECT customer_id::VARCHAR AS k, email || '|' || segment AS v FROM silver.customers"))
	e.same(after, "current customers", customers, e.query("SELECT customer_id::VARCHAR AS k, email || '|' || segment AS v FROM gold.dim_customers WHERE is_current"))
	events := map[string]string{}
	for k, v := range e.events {
		events[k] = v
	}
	e.same(after, "events", events, e.query("SELECT event_id AS k, concat_ws('|', event_id, customer_id, kind, strftime(occurred_at, '%Y-%m-%d %H:%M:%S+00')) AS v FROM silver.web_events"))
	balance := e.query("SELECT 'poison' AS k, count(*)::VARCHAR AS v FROM bronze.rejected_rows WHERE stream = 'kafka.web_events' GROUP BY ALL")
	if balance["poison"] == "" {
		e.t.Errorf("after %s: no poison message is kept", after)
	}
}

func (e *enterprise) same(after, what string, want, got map[string]string) {
	e.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Fatalf("after %s the %s differ, source -, lake +\n%.3000s", after, what, diff)
	}
}

// noSecrets looks for the credentials in all that was written.
func (e *enterprise) noSecrets() {
	e.t.Helper()
	check := func(where string, raw []byte) {
		for _, s := range e.secrets {
			if bytes.Contains(raw, []byte(s)) {
				e.t.Errorf("%s holds the secret %.10s...", where, s)
			}
		}
	}
	check("the output", e.out.Bytes())
	e.must(filepath.WalkDir(e.lake, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		check(path, raw)
		return err
	}))
}

// way is a connection to a service that can be cut: fakesnow itself would forget its tables.
type way struct {
	t           *testing.T
	address, to string
	mu          sync.Mutex
	listener    net.Listener
	open        map[net.Conn]bool
}

func newWay(t *testing.T, to string) *way {
	t.Helper()
	w := &way{t: t, to: to, address: "127.0.0.1:0", open: map[net.Conn]bool{}}
	w.mend(t)
	w.address = w.listener.Addr().String()
	t.Cleanup(func() { w.cut(t) })
	return w
}

func (w *way) mend(t testing.TB) {
	l, err := net.Listen("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	w.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
}

func (w *way) carry(c net.Conn) {
	d, err := net.Dial("tcp", w.to)
	if err != nil {
		c.Close()
		return
	}
	w.mu.Lock()
	w.open[c], w.open[d] = true, true
	w.mu.Unlock()
	go func() {
		defer c.Close()
		_, _ = io.Copy(c, d) // ends when either is closed
	}()
	defer d.Close()
	_, _ = io.Copy(d, c)
}

func (w *way) cut(testing.TB) {
	w.listener.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}
