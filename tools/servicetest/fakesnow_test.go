package servicetest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/servicetest"
)

// snow is a session with Snowflake's protocol.
type snow struct {
	base, token string
}

// snowAnswer is what the protocol answers to all.
type snowAnswer struct {
	Success bool
	Message string
	Data    struct {
		Token   string
		RowType []struct{ Name, Type string }
	}
}

func (s snow) post(t *testing.T, path string, body any) (answer snowAnswer) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", `Snowflake Token="`+s.token+`"`)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(resp.Status, err)
	}
	return answer
}

func login(t *testing.T, f *servicetest.FakesnowServer, database string) snow {
	t.Helper()
	s := snow{base: "http://" + f.Host + ":" + strconv.Itoa(f.Port)}
	body := map[string]any{"data": map[string]any{"SESSION_PARAMETERS": map[string]any{}}}
	in := s.post(t, "/session/v1/login-request?schemaName=S&databaseName="+url.QueryEscape(database), body)
	if !in.Success {
		t.Fatal(in.Message)
	}
	s.token = in.Data.Token
	return s
}

func (s snow) query(t *testing.T, sql string) snowAnswer {
	t.Helper()
	return s.post(t, "/queries/v1/query-request?requestId=1", map[string]any{"sqlText": sql})
}

func TestFakesnow(t *testing.T) {
	f := servicetest.Fakesnow(t)
	a, b := f.Database(), f.Database()
	if dsn := f.DSN(a, "S"); !strings.HasSuffix(dsn, "@127.0.0.1:"+strconv.Itoa(f.Port)+"/"+a+"/S?account=fakesnow&protocol=http") {
		t.Error(dsn)
	}
	first, other := login(t, f, a), login(t, f, b)
	for _, sql := range []string{"CREATE TABLE x (n NUMBER(12, 2), s VARCHAR)", "INSERT INTO x VALUES (1.25, 'a')"} {
		if r := first.query(t, sql); !r.Success {
			t.Fatal(r.Message)
		}
	}
	r := first.query(t, "SELECT n, s FROM x")
	if columns := r.Data.RowType; !r.Success || len(columns) != 2 || columns[0].Name != "N" || columns[0].Type != "fixed" || columns[1].Type != "text" {
		t.Errorf("%+v", r)
	}
	if r := other.query(t, "SELECT * FROM x"); r.Success {
		t.Error("another database has the table")
	}
}

func TestFakesnowStopsAndStarts(t *testing.T) {
	t.Parallel()
	f := servicetest.OwnFakesnow(t)
	login(t, f, "D")
	f.Stop(t)
	if resp, err := http.Get("http://" + f.Host + ":" + strconv.Itoa(f.Port)); err == nil {
		resp.Body.Close()
		t.Error("a stopped server answers")
	}
	f.Start(t)
	if r := login(t, f, "D").query(t, "SELECT 1"); !r.Success {
		t.Error(r.Message)
	}
}
