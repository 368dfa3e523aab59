package message

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/fault"
)

// status answers the first n requests with a status.
func status(n, code int, header, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if n--; n < 0 {
			return false
		}
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(code)
		w.Write([]byte(body))
		return true
	}
}

func TestRegistryRetries(t *testing.T) {
	const full = `{"error_code":50001,"message":"store is not there"}`
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		kind   fault.Kind // "": it works
		slept  string     // "": not looked at
		words  string
	}{
		{"busy for a while", status(2, 429, "3", `{"message":"slow down"}`), "", "[3s 3s]", ""},
		{"gone for a while", status(4, 503, "", full), "", "", ""},
		{"busy for long", status(99, 429, "2", `{"message":"slow down"}`), fault.Throttled, "[2s 2s 2s 2s]", "slow down"},
		{"busy for too long", status(99, 429, "600", ""), fault.Throttled, "[]", "429"},
		{"gone", status(99, 500, "", full), fault.Unavailable, "", "store is not there"},
		{"a date", status(1, 503, time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat), ""), "", "", ""},
		{"a stranger", status(99, 401, "", `{"message":"no"}`), fault.InvalidInput, "[]", "401"},
		{"forbidden", status(99, 403, "", `{"message":"no"}`), fault.InvalidInput, "[]", "403"},
		{"no registry", status(99, 404, "", `<html>`), fault.InvalidInput, "[]", "404"},
		{"no JSON", status(99, 200, "", `<html>`), fault.InvalidInput, "[]", "not that of a schema registry"},
		{"bad request", status(99, 422, "", `{"message":"no"}`), fault.InvalidInput, "[]", "422"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry(t)
			r.schemas[1], r.answer, r.slept = Schema{Text: `"string"`}, c.answer, []time.Duration{}
			s, err := r.client().byID(t.Context(), 1)
			if fault.KindOf(err) != c.kind || (err == nil) != (s != nil) {
				t.Fatalf("%v (%s)", err, fault.KindOf(err))
			}
			if c.slept != "" {
				equal(t, "waits", r.slept, c.slept)
			}
			for i, d := range r.slept {
				if d < 100*time.Millisecond || d > longestWait {
					t.Errorf("wait %d is %s", i, d)
				}
			}
			if err != nil && (!strings.Contains(err.Error(), c.words) || fault.HintOf(err) == "" && c.name != "bad request") {
				t.Errorf("%v | %s", err, fault.HintOf(err))
			}
		})
	}
}

// A registry that is not there is no fault of the messages: nothing is rejected.
func TestRegistryIsDown(t *testing.T) {
	r := newRegistry(t)
	client := r.client()
	r.Close()
	rows := NewRows(Options{Dir: t.TempDir(), Origin: "t", Value: Avro, Key: Text, Registry: client})
	defer rows.Abort()
	err := rows.Add(t.Context(), wired(1, "x"))
	if fault.KindOf(err) != fault.Unavailable || rows.rejects.count != 0 {
		t.Errorf("%v, %d rejected", err, rows.rejects.count)
	}
	if strings.Contains(err.Error(), "/schemas/ids") {
		t.Errorf("the address is twice in %v", err)
	}
}

// The next address is asked when one is not there, and a password in an address is not shown.
func TestRegistryAddresses(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	r := newRegistry(t)
	r.schemas[1] = Schema{Text: `"string"`}
	client := r.client()
	client.o.URLs = []string{strings.Replace(gone.URL, "http://", "http://user:secret-word@", 1), r.URL + "/"}
	_, err := client.byID(t.Context(), 1)
	must(t, err)
	client.o.URLs = client.o.URLs[:1]
	_, err = client.byID(t.Context(), 2)
	if err == nil || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("%v", err)
	}
	client.o.URLs = []string{"http://a b:secret-word@/"}
	if _, err = client.byID(t.Context(), 2); fault.KindOf(err) != fault.InvalidInput || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("%v", err)
	}
}

func TestRegistryUser(t *testing.T) {
	r := newRegistry(t)
	r.schemas[1] = Schema{Text: `"string"`}
	r.answer = func(w http.ResponseWriter, req *http.Request) bool {
		if name, password, ok := req.BasicAuth(); ok && name == "u" && password == "p" {
			return false
		}
		w.WriteHeader(401)
		return true
	}
	client := r.client()
	client.o.Secret = "schema_registry_password from env:X"
	if _, err := client.byID(t.Context(), 1); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "env:X") {
		t.Errorf("%v | %s", err, fault.HintOf(err))
	}
	client.o.User = func(context.Context) (string, string, error) { return "u", "p", nil }
	_, err := client.byID(t.Context(), 1)
	must(t, err)
	password := "old"
	client.o.User = func(context.Context) (string, string, error) { return "u", password, nil }
	client.o.Renewed = func(context.Context) bool { old := password; password = "p"; return old != password }
	r.schemas[3] = Schema{Text: `"string"`}
	_, err = client.byID(t.Context(), 3) // it is read anew, at once
	must(t, err)
	client.o.User = func(context.Context) (string, string, error) {
		return "", "", fault.New(fault.InvalidInput, "get secret", "env:X", "it is not set")
	}
	if _, err = client.byID(t.Context(), 2); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
}

// A schema that the registry does not have is asked for once in a page, and again in the next one.
func TestUnknownSchemaMayComeLater(t *testing.T) {
	r := newRegistry(t)
	client := r.client()
	m := func() *kgo.Record { return wired(5, "\x02a") }
	p := build(t, Options{Value: Avro, Key: Text, Registry: client}, m(), m())
	if len(p.Bad) != 2 || len(r.asked) != 1 {
		t.Errorf("%d bad, %d requests", len(p.Bad), len(r.asked))
	}
	r.schemas[5] = Schema{Text: `"string"`}
	for range 2 {
		p = build(t, Options{Value: Avro, Key: Text, Registry: client}, m())
		equal(t, "rows", p.table("value"), "a")
	}
	equal(t, "requests", len(r.asked), 2)
}

func TestRegistryEndsWithItsContext(t *testing.T) {
	r := newRegistry(t)
	r.answer = status(99, 503, "20", "")
	client := r.client()
	client.o.Sleep = sleep
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := client.byID(ctx, 1); fault.KindOf(err) != fault.Unavailable || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if errors.Is(sleep(ctx, time.Hour), nil) {
		t.Error("slept")
	}
}
