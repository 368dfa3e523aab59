package message

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s:\n%s\nwant\n%s", what, g, w)
	}
}

// registry is a schema registry of a test: schemas by id, and by subject and version.
type registry struct {
	*httptest.Server
	mu       sync.Mutex
	schemas  map[int]Schema
	subjects map[string]Schema
	answer   func(w http.ResponseWriter, r *http.Request) bool // before all else; true: it has answered
	asked    []string
	slept    []time.Duration
}

func newRegistry(t testing.TB) *registry {
	r := &registry{schemas: map[int]Schema{}, subjects: map[string]Schema{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *registry) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req.URL.Path)
	if r.answer != nil && r.answer(w, req) {
		return
	}
	var s Schema
	var ok bool
	if id, found := strings.CutPrefix(req.URL.Path, "/schemas/ids/"); found {
		n, _ := strconv.Atoi(id)
		s, ok = r.schemas[n]
	} else {
		s, ok = r.subjects[req.URL.Path]
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
		return
	}
	json.NewEncoder(w).Encode(s)
}

func (r *registry) client() *Registry {
	return NewRegistry(RegistryOptions{URLs: []string{r.URL}, Client: &http.Client{Timeout: 5 * time.Second},
		Sleep: func(_ context.Context, d time.Duration) error { r.slept = append(r.slept, d); return nil }})
}

// page builds the rows of messages.
type page struct {
	connector.Page
	t    testing.TB
	rows []map[string]string
}

func build(t testing.TB, o Options, messages ...*kgo.Record) *page {
	t.Helper()
	o.Dir, o.Origin = t.TempDir(), "topic"
	rows := NewRows(o)
	defer rows.Abort()
	for i, m := range messages {
		m.Topic, m.Offset, m.Timestamp = "topic", int64(i), time.UnixMilli(1_700_000_000_000)
		must(t, rows.Add(t.Context(), m))
	}
	p := &page{t: t}
	must(t, rows.Finish(&p.Page))
	for _, part := range p.Parts {
		p.read(part)
	}
	slices.SortFunc(p.rows, func(a, b map[string]string) int {
		x, _ := strconv.Atoi(a["_offset"])
		y, _ := strconv.Atoi(b["_offset"])
		return x - y
	})
	return p
}

func (p *page) read(part connector.Part) {
	pf, err := file.OpenParquetFile(part.Files[0].Path, false)
	must(p.t, err)
	defer pf.Close()
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 4096}, memory.DefaultAllocator)
	must(p.t, err)
	rr, err := fr.GetRecordReader(p.t.Context(), nil, nil)
	must(p.t, err)
	defer rr.Release()
	for {
		batch, err := rr.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		must(p.t, err)
		for i := range int(batch.NumRows()) {
			row := map[string]string{}
			for c, f := range batch.Schema().Fields() {
				if a := batch.Column(c); a.IsValid(i) {
					row[f.Name] = a.ValueStr(i)
				}
			}
			p.rows = append(p.rows, row)
		}
	}
}

// table gives columns of all rows as text; "-" is NULL.
func (p *page) table(columns ...string) string {
	var lines []string
	for _, r := range p.rows {
		var line []string
		for _, c := range columns {
			v, ok := r[c]
			if !ok {
				v = "-"
			}
			line = append(line, v)
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return strings.Join(lines, "|")
}

// types gives the columns of the values, with their types, of each set of columns.
func (p *page) types() (out []string) {
	for _, part := range p.Parts {
		pf, err := file.OpenParquetFile(part.Files[0].Path, false)
		must(p.t, err)
		fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
		must(p.t, err)
		s, err := fr.Schema()
		must(p.t, err)
		pf.Close()
		var line []string
		for _, f := range s.Fields() {
			if !strings.HasPrefix(f.Name, "_") {
				line = append(line, f.Name+" "+typeName(f.Type))
			}
		}
		out = append(out, strings.Join(line, ", "))
	}
	return out
}

func (p *page) errors() (out []string) {
	for _, b := range p.Bad {
		out = append(out, b.Key+": "+b.Error)
	}
	return out
}

func value(v string) *kgo.Record { return &kgo.Record{Value: []byte(v)} }

// wired puts the head of Confluent's format before a value.
func wired(id int, value string) *kgo.Record {
	return &kgo.Record{Value: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), value...)}
}

func TestJSONColumns(t *testing.T) {
	p := build(t, Options{Value: JSON, Key: Text},
		value(`{"id":1,"name":"a","on":true,"sum":10,"_x":"u","o":{"b":[1, 2]},"n":null}`),
		value(`{"id":2,"sum":9.5,"big":12345678901234567890,"exact":0.1234567890123456789,"n":null}`),
		value(`{"id":"three","name":"\u00e4\n","sum":1e2,"l":[]}`),
		value(` {"id":4,"id":5} `),
		value(`{}`),
	)
	equal(t, "rows", p.table("id", "name", "on", "sum", "x_x", "o", "big", "exact", "l"),
		"1 a true 10 u {\"b\":[1, 2]} - - -|2 - - 9.5 - - 12345678901234567890 0.1234567890123456789 -|three ä\n - 100 - - - - []|5 - - - - - - - -|- - - - - - - - -")
	equal(t, "types", strings.Join(p.types(), "; "), "id long, name string, on boolean, sum double, x_x string, o string, big string, exact string; id string, name string, sum double, l string")
	equal(t, "bad", p.errors(), "[]")
}

func TestJSONPoison(t *testing.T) {
	p := build(t, Options{Value: JSON, Key: JSON}, value(`{"a":1}`), value(`{"a":`), value(`[1]`), value(`null`), value("{\"a\":\"\xff\"}"), value(``),
		value(strings.Repeat("[", 20_000)), &kgo.Record{Key: []byte(`{"k" : [1]}`), Value: []byte(`{"a":2}`)}, &kgo.Record{Key: []byte(`"k"`), Value: []byte(`{"a":3}`)},
		&kgo.Record{Key: []byte(`k`), Value: []byte(`{"a":4}`)}, value(`{"a":1} {"a":2}`))
	equal(t, "rows", p.table("a", "_key"), `1 -|2 {"k":[1]}|3 k`)
	equal(t, "bad", strings.Join(p.errors(), "\n"), `topic/0/1: the value is not JSON
topic/0/2: the value is not a JSON object
topic/0/3: the value is not a JSON object
topic/0/4: the value is not UTF-8
topic/0/5: the value is not JSON
topic/0/6: the value nests deeper than 10000 levels
topic/0/9: the key: the value is not JSON
topic/0/10: the value is not JSON`)
	equal(t, "text", p.Bad[3].Text, "eyJhIjoi/yJ9")
}

// Messages may have any fields; a page takes them in a bounded number of tables.
func TestManySetsOfColumns(t *testing.T) {
	var messages []*kgo.Record
	kinds := []string{`1`, `"x"`, `true`, `1.5`}
	n := 0
	for i := range 2 * pendingRows {
		f := func(j int) string { return kinds[(i>>(2*j))%4] }
		messages = append(messages, value(fmt.Sprintf(`{"a":%s,"b":%s,"c":%s,"d":%s,"e%d":1}`, f(0), f(1), f(2), f(3), i/500)))
		n++
	}
	p := build(t, Options{Value: JSON, Key: Text}, messages...)
	if len(p.rows) != n || len(p.Parts) > maxTables || len(p.Bad) > 0 {
		t.Errorf("%d rows of %d in %d parts, %d bad", len(p.rows), n, len(p.Parts), len(p.Bad))
	}
	t.Logf("%d parts", len(p.Parts))
	for i, r := range p.rows {
		if want := strings.Trim(kinds[i%4], `"`); r["a"] != want {
			t.Fatalf("row %d has a %s, want %s", i, r["a"], want)
		}
	}
}

func TestTextAndBinary(t *testing.T) {
	p := build(t, Options{Value: Text, Key: Binary}, value("ä\x00b"), value("\xff"), &kgo.Record{Key: []byte("k")}, value(""))
	equal(t, "rows", p.table("value", "_key", "_op"), "ä\x00b - upsert|- aw== delete| - upsert")
	equal(t, "bad", p.errors(), "[topic/0/1: the value is not UTF-8]")
	p = build(t, Options{Value: Binary, Key: Text}, value("\xff\x00"), &kgo.Record{Key: []byte("")}, value(""))
	equal(t, "rows", p.table("value", "_key", "_op"), "/wA= - upsert|-  delete| - upsert")
	equal(t, "types", p.types(), "[value binary ]")
}

func TestManyRejected(t *testing.T) {
	var messages []*kgo.Record
	for i := range 5000 {
		messages = append(messages, value(fmt.Sprintf("no JSON, \"%d\"\n", i)))
	}
	long := strings.Repeat("ä", 50_000)
	messages = append(messages, value(long), value("\xff"+long))
	p := build(t, Options{Value: JSON, Key: Text}, messages...)
	all := append(p.Bad, readRejects(t, p.BadFiles)...)
	if len(p.Bad) != maxBad || len(all) != 5002 || len(p.BadFiles) != 1 {
		t.Fatalf("%d bad, %d in all, files %v", len(p.Bad), len(all), p.BadFiles)
	}
	equal(t, "text", all[4999].Text, "no JSON, \"4999\"\n")
	for _, b := range all[5000:] {
		if len(b.Text) > maxText || len(b.Text) < maxText-4 || !strings.Contains(b.Error, "only the beginning of the value is kept: it has 10000") {
			t.Errorf("%d bytes of text, error %s", len(b.Text), b.Error)
		}
	}
}

func readRejects(t testing.TB, files []string) (out []connector.Bad) {
	t.Helper()
	for _, path := range files {
		f, err := os.Open(path)
		must(t, err)
		lines, err := csv.NewReader(f).ReadAll()
		must(t, err)
		f.Close()
		for _, line := range lines {
			out = append(out, connector.Bad{Key: line[0], Text: line[2], Error: line[3]})
		}
	}
	return out
}
