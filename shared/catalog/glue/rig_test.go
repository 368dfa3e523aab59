package glue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	vendor "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// spy passes requests on, and notes them. hook may answer in place of the service, or do something first.
type spy struct {
	mu   sync.Mutex
	seen []request
	hook func(r request) *http.Response
}

type request struct {
	op   string // "UpdateTable"
	body []byte
}

func (r request) input(t *testing.T) (in struct {
	SkipArchive *bool
	VersionId   string
	TableInput  struct{ Name string }
}) {
	t.Helper()
	if err := json.Unmarshal(r.body, &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func (s *spy) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	s.seen = append(s.seen, request{op, body})
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if answer := hook(request{op, body}); answer != nil {
			answer.Request = r
			return answer, nil
		}
	}
	return http.DefaultClient.Do(r)
}

// ops are the requests since the last call.
func (s *spy) ops() (ops []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		ops = append(ops, r.op)
	}
	s.seen = nil
	return ops
}

func (s *spy) on(hook func(r request) *http.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// problem is an answer as the vendor documents it.
func problem(status int, code string) *http.Response {
	body := fmt.Sprintf(`{"__type": %q, "Message": "said %s"}`, code, code)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// rig is a Glue in moto with these databases, empty, and ours and the vendor's client to it.
type rig struct {
	t      *testing.T
	spy    *spy
	cfg    aws.Config
	vendor *vendor.Client

	refused int // updates, by locking
}

func newRig(t *testing.T, s storetest.Service, databases ...string) *rig {
	t.Helper()
	r := &rig{t: t, spy: &spy{}, cfg: aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	}}
	r.vendor = vendor.NewFromConfig(r.cfg)
	r.cfg.HTTPClient = r.spy
	old, err := r.vendor.GetDatabases(t.Context(), &vendor.GetDatabasesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range old.DatabaseList {
		if _, err := r.vendor.DeleteDatabase(t.Context(), &vendor.DeleteDatabaseInput{Name: db.Name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range databases {
		if _, err := r.vendor.CreateDatabase(t.Context(), &vendor.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: &name}}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) catalog(o glue.Options) *glue.Catalog {
	r.t.Helper()
	c, err := glue.New(r.cfg, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// get gives an entry as the vendor's client sees it; nil when there is none.
func (r *rig) get(database, name string) *types.Table {
	r.t.Helper()
	out, err := r.vendor.GetTables(r.t.Context(), &vendor.GetTablesInput{DatabaseName: &database})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, t := range out.TableList {
		if *t.Name == name {
			return &t
		}
	}
	return nil
}

func (r *rig) put(database string, in *types.TableInput) {
	r.t.Helper()
	if _, err := r.vendor.CreateTable(r.t.Context(), &vendor.CreateTableInput{DatabaseName: &database, TableInput: in}); err != nil {
		r.t.Fatal(err)
	}
}

// change has somebody else change an entry.
func (r *rig) change(database string, t *types.Table, change func(*types.TableInput)) {
	r.t.Helper()
	in := &types.TableInput{Name: t.Name, Description: t.Description, Owner: t.Owner, Parameters: t.Parameters, PartitionKeys: t.PartitionKeys,
		StorageDescriptor: t.StorageDescriptor, TableType: t.TableType, Retention: t.Retention}
	change(in)
	if _, err := r.vendor.UpdateTable(r.t.Context(), &vendor.UpdateTableInput{DatabaseName: &database, TableInput: in}); err != nil {
		r.t.Fatal(err)
	}
}

// want registers a table, and wants it to be this change by these requests.
func (r *rig) want(c catalog.Catalog, t catalog.Table, action catalog.Action, what []string, ops ...string) {
	r.t.Helper()
	r.spy.ops()
	got, err := c.Register(r.t.Context(), t)
	if err != nil || got.Action != action || !slices.Equal(got.What, what) || got.Table != t.Name {
		r.t.Errorf("register: %+v %v, want %s %v", got, err, action, what)
	}
	if seen := r.spy.ops(); !slices.Equal(seen, ops) {
		r.t.Errorf("requests %v, want %v", seen, ops)
	}
}

func text(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return raw
}

func field(name string, typ delta.Type, comment string) delta.Field {
	f := delta.Field{Name: name, Type: typ, Nullable: true}
	if comment != "" {
		f.Metadata = map[string]json.RawMessage{"comment": text(comment)}
	}
	return f
}

// orders is a table as a lake publishes it.
func orders() catalog.Table {
	return catalog.Table{
		Name: "silver.orders", Pipeline: "shop", Lake: "s3://bucket/lake", Location: "s3://bucket/lake/silver/orders", ID: "id-1", Version: 3, Run: "20261128-0700",
		Description: "The newest version of each order.",
		Schema: delta.Schema{Fields: []delta.Field{
			field("order_id", delta.Long, "The shop's id."), field("day", delta.Date, ""), field("Amount", delta.Decimal(12, 2), "In euros."),
			field("lines", delta.ArrayType{Element: delta.StructType{Fields: []delta.Field{field("sku", delta.String, ""), field("n", delta.Integer, "")}}}, ""),
			field("at", delta.TimestampNTZ, ""),
		}},
		Partitions: []string{"day"},
	}
}

// columns are written as "name type (comment)".
func columns(all []types.Column) (out []string) {
	for _, c := range all {
		s := aws.ToString(c.Name) + " " + aws.ToString(c.Type)
		if text := aws.ToString(c.Comment); text != "" {
			s += " (" + text + ")"
		}
		out = append(out, s)
	}
	return out
}
