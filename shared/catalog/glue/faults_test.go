package glue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/fault"
)

// fakeGlue stands for Glue where moto does not answer as it does: with statuses and bodies as the vendor documents them, without a network, so
// that time is the test's. An operation has its answers one after the other; the last one stays.
type fakeGlue struct {
	answers map[string][]answer
	ops     []string
	err     error // in place of an answer
	silent  bool  // no answer at all
}

type answer struct {
	status int
	body   string
	then   func() // before it is given
}

func (f *fakeGlue) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.ops = append(f.ops, op)
	if f.silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	all := f.answers[op]
	if len(all) == 0 {
		return nil, fmt.Errorf("unexpected %s", op)
	}
	if len(all) > 1 {
		f.answers[op] = all[1:]
	}
	if all[0].then != nil {
		all[0].then()
	}
	return &http.Response{StatusCode: all[0].status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(all[0].body)), Request: r}, nil
}

func (f *fakeGlue) config() aws.Config {
	return aws.Config{Region: "us-east-1", HTTPClient: f, Credentials: credentials.NewStaticCredentialsProvider("KEY", "hunter2", "hunter2token")}
}

func (f *fakeGlue) open(t *testing.T) *glue.Catalog {
	t.Helper()
	c, err := glue.New(f.config(), glue.Options{Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fakeGlue) count(op string) (n int) {
	for _, o := range f.ops {
		if o == op {
			n++
		}
	}
	return n
}

func bad(status int, code, message string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"__type": %q, "Message": %q}`, code, message)}
}

var (
	absent = bad(400, "EntityNotFoundException", "Entity Not Found")
	done   = answer{status: 200, body: "{}"}
)

// entryOf is an entry as Glue gives it.
func entryOf(t catalog.Table, change func(parameters map[string]string)) answer {
	parameters := map[string]string{"lakestep.table": t.Name, "lakestep.lake": t.Lake, "lakestep.pipeline": t.Pipeline, "lakestep.id": t.ID, "lakestep.version": "1"}
	if change != nil {
		change(parameters)
	}
	raw, err := json.Marshal(map[string]any{"Table": map[string]any{"Name": "silver_orders", "DatabaseName": "shop", "VersionId": "7", "Parameters": parameters}})
	if err != nil {
		panic(err)
	}
	return answer{status: 200, body: string(raw)}
}

// Each refusal has the kind by which it is treated, names the table and the action, says what to do, and gives no secret away.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		op     string
		answer answer
		kind   fault.Kind
		says   string
		hint   string
		times  int
	}{
		{"GetTable", bad(400, "AccessDeniedException", "User: arn:aws:sts::1:assumed-role/etl/x is not authorized to perform: glue:GetTable"),
			fault.InvalidInput, "assumed-role/etl", "glue:GetTable", 1},
		{"CreateTable", bad(400, "AccessDeniedException", "Insufficient Lake Formation permission(s): Required Create Table on shop"),
			fault.InvalidInput, "Required Create Table", "CREATE_TABLE", 1},
		{"UpdateTable", bad(400, "AccessDeniedException", "m"), fault.InvalidInput, "glue:UpdateTable", "ALTER", 1},
		{"CreateTable", absent, fault.InvalidInput, "no database shop", "create-database", 1},
		{"CreateTable", bad(400, "InvalidInputException", "1 validation error: columns.3.name"), fault.InvalidInput, "columns.3.name", "column", 1},
		{"GetTable", bad(400, "GlueEncryptionException", "m"), fault.InvalidInput, "GlueEncryptionException", "kms:Decrypt", 1},
		{"CreateTable", bad(400, "ResourceNumberLimitExceededException", "Number of tables"), fault.InvalidInput, "Number of tables", "Service Quotas", 1},
		{"GetTable", bad(400, "UnrecognizedClientException", "The security token hunter2token is invalid."), fault.InvalidInput, "UnrecognizedClientException", "credentials", 1},
		{"GetTable", bad(400, "InvalidSignatureException", "x-amz-security-token:hunter2token"), fault.InvalidInput, "InvalidSignatureException", "clock", 1},
		{"GetTable", bad(400, "ThrottlingException", "Rate exceeded"), fault.Throttled, "ThrottlingException", "later", 5},
		{"UpdateTable", bad(429, "", ""), fault.Throttled, "429", "later", 5},
		{"GetTable", bad(500, "InternalServiceException", "m"), fault.Unavailable, "InternalServiceException", "repeated", 5},
		{"CreateTable", bad(400, "OperationTimeoutException", "m"), fault.Unavailable, "OperationTimeoutException", "repeated", 5},
		{"UpdateTable", bad(400, "ResourceNotReadyException", "m"), fault.Unavailable, "ResourceNotReadyException", "repeated", 5},
		{"GetTable", answer{status: 503, body: "<html>hunter2</html>"}, fault.Unavailable, "503", "", 5},
		{"GetTable", answer{status: 200, body: `{"Table": "hunter2`}, fault.Unavailable, "cannot be read", "proxy", 1},
		{"GetTable", answer{status: 403, body: "<html>hunter2</html>"}, fault.InvalidInput, "403", "", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeGlue{answers: map[string][]answer{"GetTable": {absent}, "CreateTable": {done}, "UpdateTable": {done}}}
			if tt.op == "UpdateTable" {
				f.answers["GetTable"] = []answer{entryOf(orders(), nil)}
			}
			f.answers[tt.op] = []answer{tt.answer}
			_, err := f.open(t).Register(t.Context(), orders())
			said := fmt.Sprintf("%v %+v %s", err, err, fault.HintOf(err))
			if fault.KindOf(err) != tt.kind || !strings.Contains(said, tt.says) || !strings.Contains(fault.HintOf(err), tt.hint) || fault.HintOf(err) == "" {
				t.Errorf("%s %s: %v of kind %s, hint %q", tt.op, tt.answer.body, err, fault.KindOf(err), fault.HintOf(err))
			}
			if strings.Contains(said, "hunter2") || !strings.Contains(said, "register silver.orders in Glue") {
				t.Errorf("%s %s: %s", tt.op, tt.answer.body, said)
			}
			if n := f.count(tt.op); n != tt.times {
				t.Errorf("%s %s: %d requests, want %d", tt.op, tt.answer.body, n, tt.times)
			}
		})
	}
}

// What goes away by itself is waited for.
func TestRepeats(t *testing.T) {
	for _, op := range []string{"GetTable", "CreateTable"} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeGlue{answers: map[string][]answer{"GetTable": {absent}, "CreateTable": {done}}}
			f.answers[op] = slices.Concat([]answer{bad(400, "ThrottlingException", "Rate exceeded"), bad(500, "InternalServiceException", "m"),
				bad(400, "OperationTimeoutException", "m")}, f.answers[op])
			got, err := f.open(t).Register(t.Context(), orders())
			if err != nil || got.Action != catalog.Created || f.count(op) != 4 {
				t.Errorf("%+v %v: %v", got, err, f.ops)
			}
		})
	}
}

// Others change the entry between the look and the change: it is looked at again.
func TestLostRaces(t *testing.T) {
	ours := entryOf(orders(), nil)
	concurrent := bad(400, "ConcurrentModificationException", "Update table failed due to concurrent modifications.")
	for name, tt := range map[string]struct {
		answers map[string][]answer
		want    catalog.Action
		ops     []string
	}{
		"another was first with the table": {
			map[string][]answer{"GetTable": {absent, ours}, "CreateTable": {bad(400, "AlreadyExistsException", "Table already exists.")}, "UpdateTable": {done}},
			catalog.Updated, []string{"GetTable", "CreateTable", "GetTable", "UpdateTable"}},
		"another registers a newer version meanwhile": {
			map[string][]answer{"GetTable": {ours, entryOf(orders(), func(p map[string]string) { p["lakestep.version"] = "99" })}, "UpdateTable": {concurrent}},
			catalog.Unchanged, []string{"GetTable", "UpdateTable", "GetTable"}},
		"it was removed meanwhile": {
			map[string][]answer{"GetTable": {ours, absent}, "UpdateTable": {absent}, "CreateTable": {done}},
			catalog.Created, []string{"GetTable", "UpdateTable", "GetTable", "CreateTable"}},
		"twice": {
			map[string][]answer{"GetTable": {ours}, "UpdateTable": {concurrent, concurrent, done}},
			catalog.Updated, []string{"GetTable", "UpdateTable", "GetTable", "UpdateTable", "GetTable", "UpdateTable"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeGlue{answers: tt.answers}
			got, err := f.open(t).Register(t.Context(), orders())
			if err != nil || got.Action != tt.want || !slices.Equal(f.ops, tt.ops) {
				t.Errorf("%s: %+v %v %v", name, got, err, f.ops)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGlue{answers: map[string][]answer{"GetTable": {ours}, "UpdateTable": {concurrent}}}
		_, err := f.open(t).Register(t.Context(), orders())
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "10 times") || !strings.Contains(fault.HintOf(err), "crawler") || f.count("UpdateTable") != 10 {
			t.Errorf("%v, hint %q, %d updates", err, fault.HintOf(err), f.count("UpdateTable"))
		}
	})
	// A foreign table that came meanwhile is not overwritten.
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGlue{answers: map[string][]answer{"GetTable": {absent, entryOf(orders(), func(p map[string]string) { clear(p) })}, "CreateTable": {bad(400, "AlreadyExistsException", "m")}}}
		if _, err := f.open(t).Register(t.Context(), orders()); fault.KindOf(err) != fault.InvalidInput {
			t.Error(err)
		}
	})
}

// A service that says nothing is given up after half a minute, or when the caller's context ends; so is the wait between two looks.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGlue{silent: true}
		start := time.Now()
		_, err := f.open(t).Register(t.Context(), orders())
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no answer in 30s") || took != 30*time.Second {
			t.Error(err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = f.open(t).Prune(ctx, catalog.Declared{Pipeline: "shop"})
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Error(err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fakeGlue{answers: map[string][]answer{"GetTable": {entryOf(orders(), nil)}, "UpdateTable": {bad(400, "ConcurrentModificationException", "m")}}}
		f.answers["UpdateTable"][0].then = cancel
		_, err := f.open(t).Register(ctx, orders())
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) || len(f.ops) != 2 {
			t.Error(err, f.ops)
		}
		f.ops = nil
		if _, err := f.open(t).Register(ctx, orders()); !errors.Is(err, context.Canceled) || len(f.ops) != 0 {
			t.Error(err, f.ops)
		}
	})
}

// Credentials that cannot be had are a matter of the set-up; what the SDK says of them is kept back, because it quotes them.
func TestSignIn(t *testing.T) {
	f := &fakeGlue{}
	cfg := f.config()
	for name, provider := range map[string]aws.CredentialsProvider{
		"none":    nil,
		"process": processcreds.NewProvider(`echo '{"SecretAccessKey": "hunter2"'`),
		"failing": aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("hunter2") }),
	} {
		cfg.Credentials = provider
		c, err := glue.New(cfg, glue.Options{Database: "shop"})
		if err == nil {
			_, err = c.Register(t.Context(), orders())
		}
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "AWS_PROFILE") || strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
	if len(f.ops) != 0 {
		t.Error("a request without credentials")
	}
}

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGlue{err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}
		_, err := f.open(t).Register(t.Context(), orders())
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(fault.HintOf(err), "endpoint for glue") || len(f.ops) != 5 {
			t.Errorf("%v, hint %q, %d requests", err, fault.HintOf(err), len(f.ops))
		}
	})
}

// Listings come in pages. What goes while they are read, or by our own request whose answer was lost, is gone.
func TestPruneInPages(t *testing.T) {
	page := func(next string, names ...string) answer {
		var list []map[string]any
		for _, n := range names {
			list = append(list, map[string]any{"Name": n, "Parameters": map[string]string{"lakestep.table": "gold." + n, "lakestep.pipeline": "shop", "lakestep.lake": "s3://bucket/lake"}})
		}
		raw, err := json.Marshal(map[string]any{"TableList": list, "NextToken": next})
		if err != nil {
			t.Fatal(err)
		}
		return answer{status: 200, body: string(raw)}
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fakeGlue{answers: map[string][]answer{
			"GetTables":   {page("two", "a", "b"), bad(400, "ThrottlingException", "m"), page("three"), page("", "c")},
			"DeleteTable": {done, absent, bad(500, "InternalServiceException", "m"), done},
		}}
		got, err := f.open(t).Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake", Tables: []string{"gold.x"}})
		if err != nil || len(got) != 3 || got[2].Entry != "shop.c" || f.count("GetTables") != 4 || f.count("DeleteTable") != 4 {
			t.Errorf("%+v %v %v", got, err, f.ops)
		}
		f = &fakeGlue{answers: map[string][]answer{"GetTables": {page("", "a")}, "DeleteTable": {bad(400, "AccessDeniedException", "m")}}}
		_, err = f.open(t).Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake"})
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "glue:DeleteTable") || !strings.Contains(fault.HintOf(err), "DROP") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
	})
}
