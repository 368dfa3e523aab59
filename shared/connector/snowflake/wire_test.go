package snowflake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

var numberColumn = []fakeColumn{{Name: "ID", Type: "fixed", Precision: 10}}

// ids is a chunk of rows with the numbers from first on, in records of ten.
func ids(t testing.TB, first, n int) ([]byte, int) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "ID", Type: arrow.PrimitiveTypes.Int32}}, nil)
	var records []arrow.RecordBatch
	for i := 0; i < n; i += 10 {
		b := array.NewInt32Builder(memory.DefaultAllocator)
		for k := i; k < min(n, i+10); k++ {
			b.Append(int32(first + k))
		}
		a := b.NewArray()
		records = append(records, array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len())))
	}
	return ipcStream(t, records...)
}

// table is an answer of n chunks of 25 rows, the first with the answer.
func inChunks(t testing.TB, n int) answer {
	a := answer{columns: numberColumn, inline: true}
	for i := range n {
		c, rows := ids(t, i*25, 25)
		a.chunks, a.rows = append(a.chunks, c), append(a.rows, rows)
	}
	return a
}

// always answers every statement alike, but for the question when the table was altered: that nobody knows.
func always(a answer) func(string) answer {
	return func(sql string) answer {
		if strings.Contains(sql, "INFORMATION_SCHEMA") {
			return answer{columns: []fakeColumn{{Name: "LAST_ALTERED", Type: "text"}, {Name: "ROW_COUNT", Type: "fixed"}, {Name: "BYTES", Type: "fixed"}}, json: [][]any{}}
		}
		return a
	}
}

var fullStream = []string{"table", "ORDERS", "mode", "full"}

func request(t testing.TB) connector.Request {
	return connector.Request{Stream: "s", Dir: t.TempDir()}
}

// Chunks come several at once, and each row once, though links are refused, the storage is busy, and answers break off.
func TestChunksThatFail(t *testing.T) {
	f := newFake(t, always(inChunks(t, 12)))
	fails := map[string][]int{"/3": {http.StatusForbidden}, "/4": {http.StatusServiceUnavailable}, "/5": {breaksOff}, "/6": {breaksOff, http.StatusForbidden}}
	f.refuse = func(path string, n int) (int, string) {
		if list := fails[path[strings.LastIndex(path, "/"):]]; strings.HasPrefix(path, "/chunk/") && n <= len(list) {
			return list[n-1], ""
		}
		return 0, ""
	}
	s := f.source(t, fullStream...)
	page, err := s.Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	got := map[string]int{}
	for _, r := range rowsOf(t, page) {
		got[r["ID"]]++
	}
	for i := range 300 {
		if got[fmt.Sprint(i)] != 1 {
			t.Errorf("row %d came %d times", i, got[fmt.Sprint(i)])
		}
	}
}

// What is refused for good is told without the links, which are as good as keys.
func TestChunksThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		status int
		kind   fault.Kind
		text   string
	}{{http.StatusForbidden, fault.Unavailable, "403"}, {http.StatusServiceUnavailable, fault.Unavailable, "503"}, {http.StatusTooManyRequests, fault.Throttled, "429"}} {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			t.Parallel()
			f := newFake(t, always(inChunks(t, 4)))
			f.refuse = func(path string, _ int) (int, string) {
				if strings.HasPrefix(path, "/chunk") {
					return tt.status, ""
				}
				return 0, ""
			}
			_, err := f.source(t, fullStream...).Next(t.Context(), request(t))
			refusedWith(t, err, tt.kind, tt.text)
		})
	}
}

// refusedWith checks a fault.
func refusedWith(t *testing.T, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Fatalf("%s %v, want %s", fault.KindOf(err), err, kind)
	}
	text := fmt.Sprint(err, " ", fault.HintOf(err))
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in: %s", w, text)
		}
	}
	for _, w := range []string{signature, secrets["env:SNOWFLAKE_PASSWORD"], "X-Amz", "failed to"} {
		if strings.Contains(text, w) {
			t.Errorf("%q in: %s", w, text)
		}
	}
}

// A server that has too much to do is left alone for as long as it asks for; after some attempts the fault says what it said.
func TestThrottling(t *testing.T) {
	t.Run("for a while", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, always(inChunks(t, 1)))
		var first, second time.Time
		f.refuse = func(path string, n int) (int, string) {
			switch {
			case path != queryPath:
			case n == 1:
				first = time.Now()
				return http.StatusTooManyRequests, "2"
			case n == 2:
				second = time.Now()
			}
			return 0, ""
		}
		if _, err := f.source(t, fullStream...).Next(t.Context(), request(t)); err != nil {
			t.Fatal(err)
		}
		if pause := second.Sub(first); pause < 2*time.Second {
			t.Errorf("asked again after %s, where 2 s were asked for", pause)
		}
	})
	for status, kind := range map[int]fault.Kind{429: fault.Throttled, 503: fault.Unavailable} {
		for _, path := range []string{queryPath, "/session/v1/login-request"} {
			t.Run(fmt.Sprint(status, path), func(t *testing.T) {
				t.Parallel()
				f := newFake(t, always(inChunks(t, 1)))
				f.refuse = func(p string, _ int) (int, string) {
					if p == path {
						return status, "1"
					}
					return 0, ""
				}
				_, err := f.source(t, fullStream...).Next(t.Context(), request(t))
				refusedWith(t, err, kind, fmt.Sprint(status), "1s")
			})
		}
	}
}

// A session that expires is renewed; one that cannot be renewed is replaced by a new login. Either way the page comes.
func TestSessionExpires(t *testing.T) {
	for _, tt := range []struct {
		name             string
		noRenew          bool
		logins, renewals int
	}{{"renewed", false, 1, 1}, {"logged in again", true, 2, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, always(inChunks(t, 3)))
			f.noRenew = tt.noRenew
			s := f.source(t, fullStream...)
			if _, err := s.Next(t.Context(), request(t)); err != nil {
				t.Fatal(err)
			}
			f.expire()
			page, err := s.Next(t.Context(), request(t))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(rowsOf(t, page)); n != 75 || f.logins != tt.logins || f.renewals != tt.renewals {
				t.Errorf("%d rows, %d logins, %d renewals, want 75, %d, %d", n, f.logins, f.renewals, tt.logins, tt.renewals)
			}
		})
	}
}

// The session expires between the statements of a page: after it was described, before it is read.
func TestSessionExpiresWithinAPage(t *testing.T) {
	a := inChunks(t, 2)
	var f *fake
	reads := 0
	f = newFake(t, func(sql string) answer {
		if strings.HasPrefix(sql, `SELECT "ID"`) {
			if reads++; reads == 1 {
				f.noRenew = true
				f.expire()
				return answer{code: "390112", message: "Your session has expired. Please login again."}
			}
		}
		return always(a)(sql)
	})
	page, err := f.source(t, fullStream...).Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rowsOf(t, page)); n != 50 || f.logins != 2 {
		t.Errorf("%d rows after %d logins", n, f.logins)
	}
}

// Who cancels gets an answer at once, and the statement is aborted.
func TestCancel(t *testing.T) {
	t.Run("a statement", func(t *testing.T) {
		a := inChunks(t, 2)
		f := newFake(t, func(sql string) answer {
			a := always(a)(sql)
			if strings.HasPrefix(sql, `SELECT "ID"`) {
				a.delay = time.Minute
			}
			return a
		})
		cancelSoon(t, f.source(t, fullStream...))
		if f.aborted == 0 {
			t.Error("the statement was not aborted")
		}
	})
	t.Run("a chunk", func(t *testing.T) {
		f := newFake(t, always(inChunks(t, 9)))
		f.refuse = func(path string, _ int) (int, string) {
			if strings.HasSuffix(path, "/7") {
				return stalls, ""
			}
			return 0, ""
		}
		cancelSoon(t, f.source(t, fullStream...))
	})
}

func cancelSoon(t *testing.T, s *source) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	start := time.Now()
	_, err := s.Next(ctx, request(t))
	refusedWith(t, err, fault.Unavailable, "canceled")
	if d := time.Since(start); d < 300*time.Millisecond || d > 3*time.Second {
		t.Errorf("it took %s", d)
	}
}

// A query that takes long is asked for its result later.
func TestLongQuery(t *testing.T) {
	f := newFake(t, always(inChunks(t, 3)))
	f.running = true
	page, err := f.source(t, fullStream...).Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rowsOf(t, page)); n != 75 {
		t.Errorf("%d rows", n)
	}
}

// Many large chunks take the memory of a few records.
func TestMemory(t *testing.T) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	schema := arrow.NewSchema([]arrow.Field{{Name: "T", Type: arrow.BinaryTypes.String}}, nil)
	for i := range 1000 {
		b.Append(strings.Repeat(fmt.Sprintf("%06d ", i), 140)) // 1 KB
	}
	rec := array.NewRecordBatch(schema, []arrow.Array{b.NewArray()}, 1000)
	c, rows := ipcStream(t, slices.Repeat([]arrow.RecordBatch{rec}, 8)...)
	a := answer{columns: []fakeColumn{{Name: "T", Type: "text"}}, chunks: slices.Repeat([][]byte{zip(c)}, 50), rows: slices.Repeat([]int{rows}, 50)}
	f := newFake(t, always(a))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	r := request(t)
	var peak, told uint64
	r.Progress = func(p connector.Progress) {
		var now runtime.MemStats
		if told++; told%20 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
		}
	}
	start := time.Now()
	page, err := f.source(t, fullStream...).Next(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if n := page.Parts[0].Files[0].Rows; n != 400_000 {
		t.Errorf("%d rows", n)
	}
	grown := (peak - min(peak, before.HeapAlloc)) >> 20
	t.Logf("SCORE: %d MB in chunks of 8 MB in %s (%.0f MB/s), the heap grew by %d MiB", 50*8, took.Round(time.Millisecond), 400/took.Seconds(), grown)
	if grown > 100 {
		t.Errorf("the heap grew by %d MiB", grown)
	}
}

// What the server says becomes a kind and something to do.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		code, state string
		kind        fault.Kind
		words       []string
	}{
		{"000606", "57P03", fault.InvalidInput, []string{"warehouse", "GRANT USAGE ON WAREHOUSE LOAD_WH TO ROLE READER"}},
		{"002003", "42S02", fault.InvalidInput, []string{`GRANT SELECT ON TABLE "SHOP"."PUBLIC"."ORDERS" TO ROLE READER`, `GRANT USAGE ON SCHEMA "SHOP"."PUBLIC"`, "query 01b2-"}},
		{"003001", "42501", fault.InvalidInput, []string{"GRANT"}},
		{"000904", "42000", fault.InvalidInput, []string{"pipeline.yaml:9:9"}},
		{"000604", "57014", fault.Unavailable, []string{"statement_timeout"}},
		{"000630", "57014", fault.Unavailable, []string{"statement_timeout"}},
		{"090073", "57P03", fault.InvalidInput, []string{"quota"}},
		{"300002", "XX000", fault.Unavailable, []string{"300002"}},
		{"100038", "22018", fault.InvalidInput, []string{"something"}},
	} {
		t.Run(tt.code, func(t *testing.T) {
			f := newFake(t, func(string) answer { return answer{code: tt.code, message: "something of " + tt.code, state: tt.state} })
			_, err := f.source(t, fullStream...).Next(t.Context(), request(t))
			refusedWith(t, err, tt.kind, append(tt.words, tt.code)...)
		})
	}
}

// A refused login says which credentials to look at, and none of them.
func TestLoginErrors(t *testing.T) {
	password := secrets["env:SNOWFLAKE_PASSWORD"]
	for code, words := range map[string][]string{
		"390100": {"env:SNOWFLAKE_USERNAME", "env:SNOWFLAKE_PASSWORD"},
		"390101": {"locked or disabled"},
		"390189": {"GRANT ROLE READER"},
		"390422": {"network policy"},
		"390144": {"RSA_PUBLIC_KEY"},
		"394304": {"RSA_PUBLIC_KEY"},
	} {
		t.Run(code, func(t *testing.T) {
			server := answerAll(t, fmt.Sprintf(`{"success":false,"code":%q,"message":"no: %s","data":{}}`, code, password))
			cfg := configFor(server, "SHOP", map[string]connector.Settings{"s": options(fullStream...)})
			_, err := open(t, cfg).Next(t.Context(), request(t))
			refusedWith(t, err, fault.InvalidInput, append(words, code, "acme-eu")...)
		})
	}
}

// A result of a query is read page by page, also by processes to come; one that is gone, or a table that changed, is read anew.
func TestWholeInPages(t *testing.T) {
	a := inChunks(t, 7)
	altered := "2026-01-01 00:00:00.000000000+00:00"
	f := newFake(t, func(sql string) answer {
		if strings.Contains(sql, "INFORMATION_SCHEMA") {
			return answer{columns: []fakeColumn{{Name: "LAST_ALTERED", Type: "text"}, {Name: "ROW_COUNT", Type: "fixed"}, {Name: "BYTES", Type: "fixed"}}, json: [][]any{{altered, "175", "700"}}}
		}
		return a
	})
	var seen connector.Position
	next := func() connector.Page {
		t.Helper()
		r := request(t)
		r.Seen, r.Limit.Rows = seen, 50
		page, err := f.source(t, append(fullStream, "parallel", "1")...).Next(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if page.Cursor != nil {
			seen.Cursor = page.Cursor
		}
		return page
	}
	pending := func(want int) {
		t.Helper()
		b, err := f.source(t, fullStream...).Pending(t.Context(), "s", seen)
		if err != nil || b.Items != want {
			t.Errorf("Pending: %+v, %v, want %d", b, err, want)
		}
	}
	rows := 0
	pending(1)
	for more := true; more; {
		page := next()
		rows, more = rows+len(rowsOf(t, page)), page.More
		if more {
			pending(1)
		}
	}
	if rows != 175 || reads(f) != 1 {
		t.Errorf("%d rows with %d queries", rows, reads(f))
	}
	pending(0)
	if page := next(); !page.Empty() {
		t.Errorf("a page of a table that did not change: %s", page.Cursor)
	}
	altered = "2026-01-02 00:00:00.000000000+00:00"
	pending(1)
	next()
	f.gone = true
	page := next()
	var p snapshot
	if err := json.Unmarshal(page.Cursor, &p); err != nil || p.Taken != 2 || reads(f) != 3 {
		t.Errorf("after the result was gone: %s, %d queries", page.Cursor, reads(f))
	}
}

// reads counts the queries that read the table.
func reads(f *fake) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.queries {
		if strings.HasPrefix(q, `SELECT "`) {
			n++
		}
	}
	return n
}

// answerAll is a server that says the same to everything.
func answerAll(t *testing.T, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
	t.Cleanup(server.Close)
	return server.URL
}

// BenchmarkRead reads a million rows of ten columns in chunks of 50,000, as a warehouse's facts look.
func BenchmarkRead(b *testing.B) {
	const n = 50_000
	var all []typed
	add := func(c fakeColumn, bld array.Builder, value func(i int)) {
		for i := range n {
			value(i)
		}
		all = append(all, typed{column: c, array: bld.NewArray()})
	}
	fixed := func(name string, p, s int) fakeColumn {
		return fakeColumn{Name: name, Type: "fixed", Precision: p, Scale: s}
	}
	for i := range 3 {
		w := array.NewInt64Builder(memory.DefaultAllocator)
		add(fixed(fmt.Sprint("ID", i), 38, 0), w, func(i int) { w.Append(int64(i) * 7919) })
	}
	q := array.NewInt16Builder(memory.DefaultAllocator)
	add(fixed("QUANTITY", 5, 0), q, func(i int) { q.Append(int16(i % 1000)) })
	m := array.NewInt32Builder(memory.DefaultAllocator)
	add(fixed("PRICE", 12, 2), m, func(i int) { m.Append(int32(i * 13)) })
	for i := range 2 {
		s := array.NewStructBuilder(memory.DefaultAllocator, ntz)
		add(fakeColumn{Name: fmt.Sprint("AT", i), Type: "timestamp_ntz", Scale: 9}, s, func(i int) {
			s.Append(true)
			s.FieldBuilder(0).(*array.Int64Builder).Append(1_700_000_000 + int64(i))
			s.FieldBuilder(1).(*array.Int32Builder).Append(int32(i%1000) * 1000)
		})
	}
	for i := range 2 {
		t := array.NewStringBuilder(memory.DefaultAllocator)
		add(fakeColumn{Name: fmt.Sprint("NAME", i), Type: "text"}, t, func(i int) { t.Append(fmt.Sprintf("customer %d of many", i)) })
	}
	v := array.NewStringBuilder(memory.DefaultAllocator)
	add(fakeColumn{Name: "V", Type: "variant"}, v, func(i int) { v.Append(fmt.Sprintf(`{"a": %d, "b": [1.50, null]}`, i)) })
	one := answerOf(b, all)
	a := answer{columns: one.columns, chunks: slices.Repeat([][]byte{zip(one.chunks[0])}, 20), rows: slices.Repeat(one.rows, 20)}
	s := newFake(b, always(a)).source(b, fullStream...)
	for b.Loop() {
		if _, err := s.Next(b.Context(), connector.Request{Stream: "s", Dir: b.TempDir()}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(20*n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
