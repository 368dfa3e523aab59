package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// role makes a role, and has the database reached by it.
func (d *db) role(options, grants string) (name string) {
	d.t.Helper()
	name = "r" + d.name + "_" + itoa(len(options)+len(grants))
	d.sql("CREATE ROLE " + name + " LOGIN PASSWORD 'role-secret' " + options + ";" + strings.ReplaceAll(grants, "ROLE", name))
	t := d.t
	t.Cleanup(func() { d.server.SQL(t, d.name, "DROP OWNED BY "+name+"; DROP ROLE "+name) })
	d.url = d.server.URLOf(name, "role-secret", d.name)
	return name
}

// refusals are the findings that are not well, as lines.
func refusals(findings []connector.Finding) string {
	var out []string
	for _, f := range findings {
		if !f.OK {
			out = append(out, f.What+": "+f.Detail+" / "+f.Hint)
		}
	}
	return strings.Join(out, "\n")
}

// What docs/sources-postgres.md says a role needs is enough, and nothing of it can be left out.
func TestLeastPrivileges(t *testing.T) {
	t.Parallel()
	const table = "CREATE SCHEMA shop; CREATE TABLE shop.s (id int PRIMARY KEY, v text); INSERT INTO shop.s VALUES (1, 'a');"
	const publication = "CREATE PUBLICATION " + defaultName + " FOR TABLE shop.s WITH (publish_via_partition_root = true);"
	const grants = "GRANT USAGE ON SCHEMA shop TO ROLE; GRANT SELECT ON shop.s TO ROLE;"
	cdc := settings{"table": "shop.s", "mode": "cdc"}
	d := newDB(t)
	for _, c := range []struct {
		name, sql, options, grants string
		stream                     settings
		next                       []string // words of the fault; nil: it works
		check                      string   // the finding that is not well
	}{
		{"cdc", table + publication, "REPLICATION", grants, cdc, nil, ""},
		{"full", table, "", grants, settings{"table": "shop.s", "mode": "full"}, nil, ""},
		{"watermark", table, "", grants, settings{"table": "shop.s", "mode": "watermark", "cursor_column": "id"}, nil, ""},
		{"some columns", table, "", "GRANT USAGE ON SCHEMA shop TO ROLE; GRANT SELECT (id) ON shop.s TO ROLE;", settings{"table": "shop.s", "mode": "watermark", "cursor_column": "id", "columns": "id"}, nil, ""},
		{"no publication", table, "REPLICATION", grants, cdc, []string{"create publication", "CREATE PUBLICATION \"" + defaultName + "\" FOR TABLE ONLY \"shop\".\"s\""}, "stream s: publication"},
		{"no replication", table + publication, "", grants, cdc, []string{"REPLICATION"}, "role"},
		{"no select", table + publication, "REPLICATION", "GRANT USAGE ON SCHEMA shop TO ROLE", cdc, []string{"permission denied for table s"}, "stream s"},
		{"no usage", table + publication, "REPLICATION", "GRANT SELECT ON shop.s TO ROLE", cdc, []string{"permission denied for schema shop"}, "stream s"},
		{"no select, watermark", table, "", "GRANT USAGE ON SCHEMA shop TO ROLE", settings{"table": "shop.s", "mode": "watermark", "cursor_column": "id"}, []string{"permission denied"}, "stream s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.t = t
			d.sql("DROP SCHEMA IF EXISTS shop CASCADE; DROP PUBLICATION IF EXISTS " + defaultName + ";" + c.sql)
			d.role(c.options, c.grants)
			l := d.loader(c.stream)
			defer d.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" + d.slot() + "'")
			if c.next == nil {
				l.step()
				if len(l.rows) != 1 {
					t.Errorf("rows %s", l.rows)
				}
				d.sql("INSERT INTO shop.s VALUES (2, 'b')")
				if b := l.pending(); b.Items == 0 {
					t.Error("nothing is pending")
				}
				l.step()
			} else {
				_, err := l.next(t.Context())
				isFault(t, "Next", err, fault.InvalidInput, c.next...)
			}
			bad := refusals(l.src.Check(t.Context()))
			if c.check == "" && bad != "" || !strings.Contains(bad, c.check+": ") && c.check != "" {
				t.Errorf("Check: %s\nwant: %s", bad, c.check)
			}
		})
	}
}

// Tables whose changes would not tell which row they are of are refused before anything is published: that would break the application.
func TestTablesThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	for name, c := range map[string]struct {
		sql    string
		stream settings
		words  []string
	}{
		"no key":             {"CREATE TABLE s (id int)", nil, []string{"neither a primary key nor another replica identity", "ALTER TABLE public.s REPLICA IDENTITY FULL"}},
		"identity nothing":   {"CREATE TABLE s (id int PRIMARY KEY); ALTER TABLE s REPLICA IDENTITY NOTHING", nil, []string{"REPLICA IDENTITY FULL"}},
		"index dropped":      {"CREATE TABLE s (id int NOT NULL); CREATE UNIQUE INDEX i ON s (id); ALTER TABLE s REPLICA IDENTITY USING INDEX i; DROP INDEX i", nil, []string{"REPLICA IDENTITY FULL"}},
		"a partition":        {"CREATE TABLE s (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF s (PRIMARY KEY (id)) FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF s FOR VALUES IN (2)", nil, []string{"ALTER TABLE public.p2"}},
		"a view":             {"CREATE VIEW s AS SELECT 1 AS id", nil, []string{"it is no table", "mode full or watermark"}},
		"no table":           {`CREATE TABLE "S" (id int PRIMARY KEY)`, nil, []string{"no such table", `there is public."S"`}},
		"no table at all":    {"SELECT 1", nil, []string{"no such table", "lakestep source ls"}},
		"a sequence":         {"CREATE SEQUENCE s", nil, []string{"no table or view"}},
		"key that is not":    {"CREATE TABLE s (id int PRIMARY KEY, v int)", settings{"primary_key": "v"}, []string{"deletes tell id only", "REPLICA IDENTITY FULL"}},
		"no such key":        {"CREATE TABLE s (id int PRIMARY KEY, v int)", settings{"primary_key": "w"}, []string{"no column w"}},
		"partitions by name": {"CREATE TABLE s (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF s FOR VALUES IN (1); CREATE PUBLICATION p FOR TABLE s", settings{"publication": "p"}, []string{"publish_via_partition_root = true"}},
		"another table":      {"CREATE TABLE s (id int PRIMARY KEY); CREATE PUBLICATION p", settings{"publication": "p"}, []string{"ADD TABLE"}},
	} {
		t.Run(name, func(t *testing.T) {
			d.sql("DROP SCHEMA public CASCADE; DROP PUBLICATION IF EXISTS p; CREATE SCHEMA public;" + c.sql)
			stream := settings{"table": "s", "mode": "cdc"}
			for k, v := range c.stream {
				stream[k] = v
			}
			l := d.loader(stream)
			_, err := l.next(t.Context())
			isFault(t, "Next", err, fault.InvalidInput, c.words...)
			if refusals(l.src.Check(t.Context())) == "" {
				t.Error("Check finds nothing")
			}
			if n := d.sql("SELECT count(*) FROM pg_publication WHERE pubname = '" + defaultName + "'"); n != "0" {
				t.Error("a publication was made")
			}
			if n := d.sql("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"); n != "0" {
				t.Error("a slot was made")
			}
		})
	}
}

// A server that keeps no log for this is told apart from a role that may not.
func TestServerWithoutLogicalLog(t *testing.T) {
	t.Parallel()
	p := servicetest.OwnPostgres(t, "wal_level=replica", "max_slot_wal_keep_size=-1")
	d := newDBOn(t, p)
	d.sql("CREATE TABLE s (id int PRIMARY KEY)")
	l := d.loader(settings{"table": "s", "mode": "cdc"})
	_, err := l.next(t.Context())
	isFault(t, "Next", err, fault.InvalidInput, "wal_level")
	findings := l.src.Check(t.Context())
	if bad := refusals(findings); !strings.Contains(bad, "wal_level: ") {
		t.Errorf("Check: %s", bad)
	}
	if !slices.ContainsFunc(findings, func(f connector.Finding) bool {
		return f.OK && f.Detail == "no bound" && strings.Contains(f.Hint, "disk")
	}) {
		t.Errorf("no advice to bound the log: %+v", findings)
	}
}

// Whatever is wrong with the way to the server, no message holds what may be a secret.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	p := servicetest.Postgres(t)
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY)")
	good := map[string]string{"host": p.Host, "port": itoa(p.Port), "database": d.name, "username": "postgres", "password": "env:PASSWORD"}
	secrets := []string{"postgres-secret", "hidden-host", "hidden-user", "hidden-password"}
	for name, c := range map[string]struct {
		set   map[string]string
		url   string
		kind  fault.Kind
		words []string
	}{
		"good":            {nil, "", "", nil},
		"tls":             {map[string]string{"sslmode": "require"}, "", "", nil},
		"user reference":  {map[string]string{"username": "env:USER"}, "", "", nil},
		"password":        {map[string]string{"password": "env:WRONG"}, "", fault.InvalidInput, []string{"lets this user not in (28P01)", "pg_hba.conf"}},
		"database":        {map[string]string{"database": "nowhere"}, "", fault.InvalidInput, []string{"no such database"}},
		"port":            {map[string]string{"port": "1"}, "", fault.Unavailable, []string{"connection refused", "host, port and sslmode"}},
		"certificate":     {map[string]string{"sslmode": "verify-full"}, "", fault.Unavailable, []string{"sslrootcert"}},
		"no secret":       {map[string]string{"password": "env:NONE"}, "", fault.InvalidInput, []string{"NONE is not set"}},
		"url":             {nil, "postgres://hidden-user:hidden-password@" + "127.0.0.1:1/x", fault.Unavailable, []string{"connection refused"}},
		"host of a url":   {nil, "postgres://hidden-user:hidden-password@hidden-host.invalid/x", fault.Unavailable, []string{"host's name is not known"}},
		"no url":          {nil, "postgres://hidden-user:hidden-password@:x/%zz", fault.InvalidInput, []string{"no address of a PostgreSQL database"}},
		"user of a url":   {nil, fmt.Sprintf("postgres://hidden-user:hidden-password@%s:%d/postgres", p.Host, p.Port), fault.InvalidInput, []string{"28P01"}},
		"root of a url":   {nil, fmt.Sprintf("postgres://hidden-user:hidden-password@%s:%d/postgres?sslmode=verify-ca&sslrootcert=/none", p.Host, p.Port), fault.InvalidInput, []string{"sslrootcert"}},
		"unknown host":    {map[string]string{"host": "hidden-host.invalid"}, "", fault.Unavailable, []string{"host's name is not known"}},
		"certificate ok?": {map[string]string{"sslmode": "verify-ca", "sslrootcert": "/none"}, "", fault.InvalidInput, []string{"sslrootcert"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := settings{}
			for k, v := range good {
				all[k] = v
			}
			for k, v := range c.set {
				all[k] = v
			}
			if c.url != "" {
				all = settings{"url": "env:URL"}
			}
			src, err := New(t.Context(), connector.Config{Pipeline: "p", Name: "pg", At: "pipeline.yaml:1:1", Settings: all.of(), Streams: map[string]connector.Settings{"s": settings{"table": "s", "mode": "full"}.of()},
				Secret: func(_ context.Context, ref string) (string, error) {
					v, ok := map[string]string{"env:PASSWORD": "postgres-secret", "env:WRONG": "hidden-password", "env:USER": "postgres", "env:URL": c.url}[ref]
					if !ok {
						return "", fault.New(fault.InvalidInput, "read secret", ref, "the variable %s is not set", strings.TrimPrefix(ref, "env:"))
					}
					return v, nil
				}})
			must(t, err)
			src.(*source).tries = 1
			_, err = src.Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir()})
			if c.kind == "" {
				must(t, err)
				return
			}
			isFault(t, "Next", err, c.kind, c.words...)
			var messages string
			for _, f := range src.(connector.Explorer).Check(t.Context()) {
				messages += f.What + f.Detail + f.Hint
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				messages += e.Error() + fault.HintOf(e)
			}
			for _, s := range secrets {
				if strings.Contains(messages, s) {
					t.Errorf("a message holds %q: %s", s, messages)
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		stream settings
		words  string
	}{
		"mode":   {settings{"table": "s", "mode": "cdx"}, "none of cdc, watermark and full"},
		"cursor": {settings{"table": "s", "mode": "watermark"}, "needs the key cursor_column"},
		"slot":   {settings{"table": "s", "mode": "cdc", "slot": "A-b"}, "a slot's name"},
		"table":  {settings{"table": "a.b.c", "mode": "full"}, `table "a.b.c"`},
		"none":   {settings{"mode": "full"}, `table ""`},
	} {
		_, err := New(t.Context(), connector.Config{Name: "pg", Streams: map[string]connector.Settings{"s": c.stream.of()}})
		isFault(t, name, err, fault.InvalidInput, c.words)
	}
	for in, want := range map[string][2]string{"s": {"public", "s"}, "a.b": {"a", "b"}, `"a.b"."c""d"`: {"a.b", `c"d`}, `A."b"`: {"A", "b"}} {
		if schema, table, ok := parseTable(in); !ok || schema != want[0] || table != want[1] {
			t.Errorf("%s: %q %q %v", in, schema, table, ok)
		}
	}
	for _, in := range []string{"", ".", "a.", ".b", `"a`, `"a"b`, `""`, `"a".`} {
		if schema, table, ok := parseTable(in); ok {
			t.Errorf("%s: %q %q", in, schema, table)
		}
	}
	a, b := ownName("P-x", strings.Repeat("s", 60), "one"), ownName("P-x", strings.Repeat("s", 60), "two")
	if a == b || !slotName(a) || !slotName(b) || len(a) != maxName || ownName("P", "q", "r") != "lakestep_p_q_r" {
		t.Errorf("names %s %s", a, b)
	}
	src := newDB(t).source(settings{"table": "s", "mode": "full"})
	_, err := src.Next(t.Context(), connector.Request{Stream: "x"})
	isFault(t, "no stream", err, fault.InvalidInput, "no such stream")
	_, err = src.Next(t.Context(), connector.Request{Stream: "s", Window: &connector.Window{}})
	isFault(t, "a window", err, fault.InvalidInput, "no cursor column")
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql(`CREATE TABLE s (id int, b text, v numeric(5,2), PRIMARY KEY (b, id)); INSERT INTO s SELECT g, 'x', 1 FROM generate_series(1, 100) g; ANALYZE s; CREATE VIEW v AS SELECT b FROM s;
		CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE nokey (at timestamp); CREATE TABLE hidden (x int)`)
	d.role("", "GRANT SELECT ON s, v, p, nokey TO ROLE")
	all, err := d.source(settings{"table": "s", "mode": "cdc"}).Discover(t.Context())
	must(t, err)
	var out []string
	for _, f := range all {
		out = append(out, fmt.Sprintf("%s %v %v %v %s rows=%d bytes=%v", f.Name, f.Columns, f.Key, f.Modes, f.Stream, f.Rows, f.Bytes > 0))
	}
	equal(t, "tables", strings.Join(out, "\n"), `public.nokey [{at timestamp without time zone}] [] [watermark full]  rows=0 bytes=false
public.p [{id integer}] [id] [cdc watermark full]  rows=0 bytes=false
public.s [{id integer} {b text} {v numeric(5,2)}] [b id] [cdc watermark full] s rows=100 bytes=true
public.v [{b text}] [] [full]  rows=0 bytes=false`)
}

// A preview makes nothing on the server.
func TestPreview(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY, at timestamptz); INSERT INTO s SELECT g, now() FROM generate_series(1, 300) g")
	for mode, columns := range map[string]int{"cdc": 8, "watermark": 2, "full": 2} {
		src := d.source(settings{"table": "s", "mode": mode, "cursor_column": "at"})
		for rows, want := range map[int64]int{0: 100, 7: 7} {
			page, err := src.Preview(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir(), Limit: connector.Limit{Rows: rows}})
			must(t, err)
			got := rowsOf(t, page)
			if len(got) != want || len(got[0]) != columns || page.Cursor != nil {
				t.Errorf("%s: %d rows of %d columns, want %d of %d", mode, len(got), len(got[0]), want, columns)
			}
		}
	}
	if n := d.sql("SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())"); n != "0" {
		t.Error("a publication or slot was made")
	}
}

// Who may not see all rows cannot follow their changes, of which the server gives all.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s SELECT g FROM generate_series(1, 10) g; ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON s USING (id > 5); CREATE PUBLICATION " + defaultName + " FOR TABLE s")
	d.role("REPLICATION", "GRANT SELECT ON s TO ROLE")
	_, err := d.loader(settings{"table": "s", "mode": "cdc"}).next(t.Context())
	isFault(t, "changes", err, fault.InvalidInput, "row-level security", "BYPASSRLS")
	if n := len(d.all("s", nil)); n != 5 {
		t.Errorf("a full load has %d rows, the role may see 5", n)
	}
}

// A slot that keeps much of the log is told of.
func TestSlotLag(t *testing.T) {
	d := newDB(t)
	l := begun(t, d)
	d.sql("SELECT count(pg_logical_emit_message(false, 'x', repeat('x', 1000000))) FROM generate_series(1, 3)")
	if bad := refusals(l.src.Check(t.Context())); bad != "" {
		t.Errorf("Check: %s", bad)
	}
	bad := refusals(d.source(settings{"table": "s", "mode": "cdc", "slot_lag_bytes": "1000000"}).Check(t.Context()))
	if !strings.Contains(bad, "stream s: slot: "+d.slot()+" keeps ") || !strings.Contains(bad, "pg_drop_replication_slot") {
		t.Errorf("Check: %s", bad)
	}
}

// Slow statements end in time.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	d.sql("CREATE VIEW s AS SELECT pg_sleep(60)::text AS id")
	l := &loader{t: t, src: d.sourceWith(settings{"statement_timeout": "200ms"}, settings{"table": "s", "mode": "full"})}
	start := time.Now()
	_, err := l.next(t.Context())
	isFault(t, "Next", err, fault.Unavailable, "statement timeout", "statement_timeout")
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("it took %s", d)
	}
}
