package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// way is a way to the server that can be closed and stalled.
type way struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	closed  bool
	stalled chan struct{} // not nil: nothing goes through until it is closed
	open    map[net.Conn]bool
}

func newWay(t testing.TB, to string) *way {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &way{listener: l, to: to, open: map[net.Conn]bool{}}
	go w.serve()
	t.Cleanup(func() { l.Close(); w.set(true, nil) })
	return w
}

func (w *way) serve() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		closed := w.closed
		w.open[in] = true
		w.mu.Unlock()
		if closed {
			in.Close()
			continue
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			in.Close()
			continue
		}
		go w.pump(in, out)
		go w.pump(out, in)
	}
}

func (w *way) pump(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		stalled := w.stalled
		w.mu.Unlock()
		if stalled != nil {
			<-stalled
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}

func (w *way) set(closed bool, stalled chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled != nil {
		close(w.stalled)
	}
	w.closed, w.stalled = closed, stalled
	if closed {
		for c := range w.open {
			c.Close()
		}
		clear(w.open)
	}
}

// suiteOrigin is a database for the tables of a suite's tests, and a way to it that can be closed.
type suiteOrigin struct {
	*db
	way    *way
	user   string
	tables int
}

func newSuiteOrigin(t testing.TB) *suiteOrigin {
	p := servicetest.Postgres(t)
	d := newDBOn(t, p)
	o := &suiteOrigin{db: d, way: newWay(t, fmt.Sprintf("%s:%d", p.Host, p.Port)), user: "user_of_" + d.name}
	d.sql(fmt.Sprintf("CREATE ROLE %[1]s LOGIN REPLICATION PASSWORD 'first-secret'; GRANT CREATE ON DATABASE %[2]s TO %[1]s; GRANT CREATE ON SCHEMA public TO %[1]s", o.user, d.name))
	_, port, _ := strings.Cut(o.way.listener.Addr().String(), ":")
	d.tries = 2
	d.url = fmt.Sprintf("postgres://%s:first-secret@127.0.0.1:%s/%s?sslmode=disable", o.user, port, d.name)
	return o
}

// suiteTable is a table for a test of the suite.
type suiteTable struct {
	*suiteOrigin
	table string
	n     int
}

func (o *suiteOrigin) newTable(t testing.TB) *suiteTable {
	o.tables++
	s := &suiteTable{suiteOrigin: o, table: "s" + itoa(o.tables)}
	o.sql(fmt.Sprintf("SET ROLE %s; CREATE TABLE %s (id int PRIMARY KEY, v text, at timestamptz DEFAULT clock_timestamp())", o.user, s.table))
	t.Cleanup(func() {
		o.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL AND slot_name = '" + s.slot() + "'")
		for range 50 {
			if _, err := o.trySQL("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" + s.slot() + "'"); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("slot %s is still in use", s.slot())
	})
	return s
}

func (s *suiteTable) slot() string { return "slot_" + s.name + "_" + s.table }

// stream is that of the table, of mode cdc or watermark.
func (s *suiteTable) stream(mode string) settings {
	out := settings{"table": s.table, "mode": mode, "cursor_column": "id", "slot": s.slot(), "publication": s.slot(), "chunk_rows": "2000"}
	return out
}

func (s *suiteTable) append(t testing.TB, n int) (ids []string) {
	t.Helper()
	var b strings.Builder
	for range n {
		s.n++
		ids = append(ids, itoa(s.n))
		fmt.Fprintf(&b, "INSERT INTO %s (id, v) VALUES (%d, 'row %d');\n", s.table, s.n, s.n)
	}
	s.sql(b.String())
	return ids
}

func (s *suiteTable) bulk(t testing.TB, n int) {
	t.Helper()
	s.n += n
	s.sql(fmt.Sprintf(`DO $$ BEGIN FOR i IN 0..%d/1000 LOOP
		INSERT INTO %s (id, v, at) SELECT g, 'row ' || g, timestamptz '2024-01-01' + g * interval '1 second' FROM generate_series(i*1000+1, least(i*1000+1000, %d)) g; COMMIT; END LOOP; END $$`, n-1, s.table, n))
}

func (s *suiteTable) rig(t *testing.T, stream settings) connectortest.Rig {
	return connectortest.Rig{
		Open:   func(context.Context) (connector.Source, error) { return s.source(stream), nil },
		Stream: "s", Limit: connector.Limit{Rows: 8}, Secrets: []string{"first-secret"},
		Append: s.append, Bulk: s.bulk,
		SchemaChange: func(t testing.TB, n int) ([]string, string) {
			s.sql("ALTER TABLE " + s.table + " ADD COLUMN more text")
			s.sql("ALTER TABLE " + s.table + " ALTER COLUMN more SET DEFAULT 'm'")
			return s.append(t, n), "more"
		},
		UnknownType: func(t testing.TB, n int) (map[string]string, string) {
			s.sql("ALTER TABLE " + s.table + " ADD COLUMN odd point")
			texts := map[string]string{}
			for range n {
				s.n++
				texts[itoa(s.n)] = fmt.Sprintf("(%d,1)", s.n)
				s.sql(fmt.Sprintf("INSERT INTO %s (id, v, odd) VALUES (%d, 'odd', '(%[2]d,1)')", s.table, s.n))
			}
			return texts, "odd"
		},
		Break: func(t testing.TB) func() {
			s.way.set(true, nil)
			return func() { s.way.set(false, nil) }
		},
		Slow: func(t testing.TB) func() {
			s.way.set(false, make(chan struct{}))
			return func() { s.way.set(false, nil) }
		},
		ExpireAuth: func(t testing.TB) func() {
			s.sql("ALTER ROLE " + s.user + " PASSWORD 'other'")
			return func() { s.sql("ALTER ROLE " + s.user + " PASSWORD 'first-secret'") }
		},
	}
}

// The first rows of a stream of changes.
func TestSuiteSnapshot(t *testing.T) {
	o := newSuiteOrigin(t)
	connectortest.Run(t, func(t *testing.T) connectortest.Rig {
		s := o.newTable(t)
		rig := s.rig(t, s.stream("cdc"))
		rig.Batch = 1 // the truncation that a full refresh begins with
		return rig
	})
}

// started is a source of a stream that has read its first rows, of which there were none.
type started struct {
	*source
	at connector.Position
}

func (s started) seen(p connector.Position) connector.Position {
	if p.Cursor == nil {
		return s.at
	}
	return p
}

func (s started) Next(ctx context.Context, r connector.Request) (connector.Page, error) {
	if !r.Refresh {
		r.Seen = s.seen(r.Seen)
	}
	return s.source.Next(ctx, r)
}

func (s started) Pending(ctx context.Context, stream string, seen connector.Position) (connector.Backlog, error) {
	b, err := s.source.Pending(ctx, stream, s.seen(seen))
	b.Bytes = 0 // others write to the log, too
	return b, err
}

// The changes of a stream.
func TestSuiteChanges(t *testing.T) {
	o := newSuiteOrigin(t)
	connectortest.Run(t, func(t *testing.T) connectortest.Rig {
		s := o.newTable(t)
		l := s.loader(s.stream("cdc"))
		l.step()
		rig := s.rig(t, s.stream("cdc"))
		rig.Batch = 1000 // a transaction of Bulk
		rig.Open = func(context.Context) (connector.Source, error) {
			return started{s.source(s.stream("cdc")), l.seen}, nil
		}
		return rig
	})
}

func TestSuiteWatermark(t *testing.T) {
	o := newSuiteOrigin(t)
	connectortest.Run(t, func(t *testing.T) connectortest.Rig {
		s := o.newTable(t)
		rig := s.rig(t, s.stream("watermark"))
		rig.Batch = 1 // the row of the last value, when it got another column
		rig.Window = func(t testing.TB, n int) (connector.Window, []string) {
			ids := s.append(t, n)
			return connector.Window{From: ids[0], To: ids[n-1]}, ids
		}
		return rig
	})
}
