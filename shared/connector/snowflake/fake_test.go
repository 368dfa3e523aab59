package snowflake

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/lakestep/lakestep/shared/connector"
)

// fake is a server of ours that speaks Snowflake's protocol as far as the driver does, for what fakesnow does not give: results in many chunks
// behind links, numbers as scaled integers, timestamps with zones, sessions that expire, throttling, links that fail.
type fake struct {
	url    string
	answer func(sql string) answer // to a statement

	mu       sync.Mutex
	logins   int
	renewals int
	closed   int
	aborted  int
	queries  []string
	results  map[string]answer // by query
	expired  map[string]bool   // tokens
	refuse   func(path string, n int) (status int, retryAfter string)
	calls    map[string]int // by path
	noRenew  bool           // master tokens are expired, too
	running  bool           // queries are told to come back once
	gone     bool           // results are not kept
}

// answer is what a statement brings.
type answer struct {
	code, message, state string // an error
	columns              []fakeColumn
	chunks               [][]byte // Arrow streams
	rows                 []int    // in them
	inline               bool     // the first one comes with the answer
	json                 [][]any  // instead
	delay                time.Duration
}

type fakeColumn struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Precision int    `json:"precision"`
	Scale     int    `json:"scale"`
	Nullable  bool   `json:"nullable"`
}

// What refuse can say, besides a status of HTTP.
const (
	stalls    = -1
	breaksOff = -2
)

// signature stands in links to chunks: who has it can read them.
const signature = "sig-very-secret"

func newFake(t testing.TB, reply func(sql string) answer) *fake {
	f := &fake{answer: reply, results: map[string]answer{}, expired: map[string]bool{}, calls: map[string]int{},
		refuse: func(string, int) (int, string) { return 0, "" }}
	mux := http.NewServeMux()
	mux.HandleFunc("/session/v1/login-request", f.login)
	mux.HandleFunc("/session/token-request", f.renew)
	mux.HandleFunc("/session", func(w http.ResponseWriter, _ *http.Request) {
		f.count(&f.closed)
		io.WriteString(w, `{"success":true}`)
	})
	mux.HandleFunc("/queries/v1/abort-request", func(w http.ResponseWriter, _ *http.Request) {
		f.count(&f.aborted)
		io.WriteString(w, `{"success":true}`)
	})
	mux.HandleFunc("/queries/v1/query-request", f.query)
	mux.HandleFunc("/queries/{id}/result", f.result)
	mux.HandleFunc("/chunk/{id}/{n}", f.chunk)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.calls[r.URL.Path]++
		status, after := f.refuse(r.URL.Path, f.calls[r.URL.Path])
		f.mu.Unlock()
		switch status {
		case 0:
			mux.ServeHTTP(w, r)
			return
		case stalls:
			<-r.Context().Done()
			return
		case breaksOff:
			whole := httptest.NewRecorder()
			mux.ServeHTTP(whole, r)
			w.Write(whole.Body.Bytes()[:whole.Body.Len()*2/3])
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// source opens a source of the fake with one stream.
func (f *fake) source(t testing.TB, pairs ...string) *source {
	return open(t, configFor(f.url, "SHOP", map[string]connector.Settings{"s": options(pairs...)}))
}

func (f *fake) count(n *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n++
}

func (f *fake) login(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	fmt.Fprintf(w, `{"success":true,"data":{"token":"token-%[1]d","masterToken":"master-%[1]d","sessionId":%[1]d,"parameters":[],"sessionInfo":{}}}`, f.logins)
}

func (f *fake) renew(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noRenew {
		io.WriteString(w, `{"success":false,"code":"390114","message":"Authentication token has expired. The user must authenticate again."}`)
		return
	}
	f.renewals++
	fmt.Fprintf(w, `{"success":true,"data":{"sessionToken":"token-%[1]d","masterToken":"master-%[1]d","sessionId":1}}`, 100+f.renewals)
}

// expire makes the tokens worthless that were given so far.
func (f *fake) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range 200 {
		f.expired[fmt.Sprintf("token-%d", i)] = i <= f.logins || i > 100 && i <= 100+f.renewals
	}
}

func (f *fake) query(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), `Snowflake Token="`), `"`)
	var in struct {
		SQLText      string
		DescribeOnly bool
	}
	json.NewDecoder(r.Body).Decode(&in)
	f.mu.Lock()
	if f.expired[token] {
		f.mu.Unlock()
		io.WriteString(w, `{"success":false,"code":"390112","message":"Your session has expired. Please login again.","data":{}}`)
		return
	}
	f.queries = append(f.queries, in.SQLText)
	id := fmt.Sprintf("01b2-%04d", len(f.queries))
	running := f.running
	f.mu.Unlock()
	a := f.answer(in.SQLText)
	if in.DescribeOnly {
		a.chunks, a.rows, a.json = nil, nil, nil
	}
	if a.delay > 0 {
		wait(r.Context(), a.delay)
	}
	f.mu.Lock()
	f.results[id] = a
	f.mu.Unlock()
	if running && !in.DescribeOnly {
		fmt.Fprintf(w, `{"success":true,"code":"333334","data":{"getResultUrl":"/queries/%s/result"}}`, id)
		return
	}
	f.send(w, id, a)
}

func (f *fake) result(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	a, ok := f.results[r.PathValue("id")]
	gone := f.gone || !ok
	f.mu.Unlock()
	if gone {
		io.WriteString(w, `{"success":false,"code":"000709","message":"Statement not found","data":{"sqlState":"02000"}}`)
		return
	}
	f.send(w, r.PathValue("id"), a)
}

func (f *fake) send(w http.ResponseWriter, id string, a answer) {
	if a.code != "" {
		json.NewEncoder(w).Encode(map[string]any{"success": false, "code": a.code, "message": a.message, "data": map[string]any{"sqlState": a.state, "queryId": id, "errorCode": a.code}})
		return
	}
	data := map[string]any{"queryId": id, "rowtype": a.columns, "statementTypeId": 0x1000, "queryResultFormat": "arrow", "rowsetBase64": "", "chunkHeaders": map[string]string{"x-key": "k"}}
	if a.json != nil {
		data["queryResultFormat"], data["rowset"] = "json", a.json
	}
	total, chunks := 0, []map[string]any{}
	for i, c := range a.chunks {
		total += a.rows[i]
		if i == 0 && a.inline {
			data["rowsetBase64"] = base64.StdEncoding.EncodeToString(c)
			continue
		}
		chunks = append(chunks, map[string]any{"url": fmt.Sprintf("%s/chunk/%s/%d?X-Amz-Signature=%s", f.url, id, i, signature), "rowCount": a.rows[i], "uncompressedSize": len(c), "compressedSize": len(c)})
	}
	data["chunks"], data["total"], data["returned"] = chunks, total, total
	json.NewEncoder(w).Encode(map[string]any{"success": true, "code": nil, "data": data})
}

// chunk sends a chunk, compressed where it is not already.
func (f *fake) chunk(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	a := f.results[r.PathValue("id")]
	f.mu.Unlock()
	n, _ := strconv.Atoi(r.PathValue("n"))
	if r.URL.Query().Get("X-Amz-Signature") != signature || r.Header.Get("x-key") != "k" || r.Header.Get("Authorization") != "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	b := a.chunks[n]
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		b = zip(b)
	}
	w.Write(b)
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// stream is the Arrow stream of records.
func ipcStream(t testing.TB, records ...arrow.RecordBatch) ([]byte, int) {
	t.Helper()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(records[0].Schema()))
	rows := 0
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
		rows += int(r.NumRows())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), rows
}
