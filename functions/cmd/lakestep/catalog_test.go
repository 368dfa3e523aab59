package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// catalogRig is the shop's lake in an S3 beside a Glue, both of moto.
type catalogRig struct {
	*shop
	lake    string
	client  *glue.Client
	options string // for delta-rs
}

func newCatalogRig(t *testing.T) *catalogRig {
	t.Helper()
	m := storetest.Moto(t)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": m.AccessKey, "AWS_SECRET_ACCESS_KEY": m.SecretKey, "AWS_REGION": "us-east-1",
		"AWS_ENDPOINT_URL_GLUE": m.Endpoint, "XDG_CACHE_HOME": t.TempDir()} {
		t.Setenv(name, value)
	}
	r := &catalogRig{shop: newShop(t, ""), lake: "s3://" + m.Bucket(t) + "/lakes/shop?endpoint=" + m.Endpoint}
	r.client = glue.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &m.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(m.AccessKey, m.SecretKey, "")})
	raw, err := json.Marshal(map[string]string{"endpoint_url": m.Endpoint, "region": "us-east-1", "allow_http": "true"})
	if err != nil {
		t.Fatal(err)
	}
	r.options = string(raw)
	return r
}

// sync runs the command and gives what it did with each entry.
func (r *catalogRig) sync(more ...string) map[string]catalog.Change {
	r.t.Helper()
	out := map[string]catalog.Change{}
	for _, c := range lakestep[[]catalog.Change](r.t, append([]string{"catalog", "sync", r.pipeline, "--lake", r.lake, "--var", "landing=" + r.landing, "--glue", "shop"}, more...)...) {
		out[c.Entry] = c
	}
	return out
}

func (r *catalogRig) wantAll(got map[string]catalog.Change, action catalog.Action, names ...string) {
	r.t.Helper()
	for _, n := range names {
		if got["shop."+n].Action != action {
			r.t.Errorf("%s: %+v, want %s", n, got["shop."+n], action)
		}
	}
	if len(got) != len(names) {
		r.t.Errorf("%d entries, want %d: %v", len(got), len(names), got)
	}
}

func (r *catalogRig) entries() map[string]types.Table {
	r.t.Helper()
	out, err := r.client.GetTables(r.t.Context(), &glue.GetTablesInput{DatabaseName: aws.String("shop")})
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]types.Table{}
	for _, t := range out.TableList {
		all[*t.Name] = t
	}
	return all
}

// fails runs the command and wants it refused, with these words.
func (r *catalogRig) fails(says string, more ...string) {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(r.t.Context(), append([]string{"catalog", "sync", r.pipeline, "--var", "landing=" + r.landing}, more...), &stdout, &stderr)
	if code != 2 || !strings.Contains(stderr.String(), says) || !strings.Contains(stderr.String(), "hint: ") || stdout.Len() > 0 {
		r.t.Errorf("%v: exit code %d\n%s%s", more, code, stdout.String(), stderr.String())
	}
}

func (r *catalogRig) run() {
	r.t.Helper()
	lakestep[any](r.t, "run", r.pipeline, "--lake", r.lake, "--var", "landing="+r.landing, "--memory", "512")
}

// A lake that is there already gets its entries, follows changes, and loses what is not declared; another reader finds at each entry's location
// what the entry says.
func TestCatalogSync(t *testing.T) {
	r := newCatalogRig(t)
	tables := []string{"silver_orders", "silver_customers", "gold_order_facts", "gold_customer_history", "gold_revenue"}
	r.run()
	r.fails("no database is named", "--lake", r.lake)
	r.fails("there is no database shop", "--lake", r.lake, "--glue", "shop")
	r.fails("there is no database shop", "--lake", r.lake, "--glue", "shop", "--dry-run")
	r.fails("no name of a database", "--lake", r.lake, "--glue", "The Shop")
	if _, err := r.client.CreateDatabase(t.Context(), &glue.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: aws.String("shop")}}); err != nil {
		t.Fatal(err)
	}
	r.wantAll(r.sync("--dry-run"), catalog.Created, tables...)
	if got := r.entries(); len(got) != 0 {
		t.Errorf("the dry run made %v", got)
	}
	r.wantAll(r.sync(), catalog.Created, tables...)
	r.wantAll(r.sync(), catalog.Unchanged, tables...)
	r.readers(tables)

	r.land(2)
	r.run()
	r.wantAll(r.sync("--dry-run"), catalog.Updated, tables...)
	r.wantAll(r.sync(), catalog.Updated, tables...)
	r.readers(tables)

	yaml := filepath.Join(r.pipeline, "pipeline.yaml")
	text, err := os.ReadFile(yaml)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "  revenue:\n")
	if err := os.WriteFile(yaml, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := r.sync(); got["shop.gold_revenue"].Action != catalog.Removed || got["shop.gold_order_facts"].Action != catalog.Unchanged || len(r.entries()) != 4 {
		t.Errorf("%+v", got)
	}

	// In text.
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"catalog", "sync", r.pipeline, "--lake", r.lake, "--var", "landing=" + r.landing, "--glue", "shop", "--dry-run"}, &stdout, &stderr); code != 0 ||
		!strings.Contains(stdout.String(), "shop.silver_orders") || !strings.Contains(stdout.String(), "unchanged") || !strings.Contains(stdout.String(), "Dry run: nothing was changed") {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	folder := filepath.Join(t.TempDir(), "lake")
	lakestep[any](t, "run", r.pipeline, "--lake", folder, "--var", "landing="+r.landing, "--memory", "512")
	r.fails("Glue shows lakes in S3 only", "--lake", folder, "--glue", "shop")
}

// readers has delta-rs read each table at the location that Glue gives.
func (r *catalogRig) readers(tables []string) {
	r.t.Helper()
	interpreter := python(r.t)
	type found struct {
		Columns, Keys [][3]string
		Rows          int
	}
	all, want := r.entries(), map[string]found{}
	args := []string{"../../../shared/catalog/glue/testdata/deltars.py", "read", r.options}
	for _, name := range tables {
		e := all[name]
		f := found{Columns: [][3]string{}, Keys: [][3]string{}}
		for _, c := range e.StorageDescriptor.Columns {
			f.Columns = append(f.Columns, [3]string{*c.Name, *c.Type})
		}
		at := *e.StorageDescriptor.Location
		args, want[at] = append(args, at), f
	}
	got := answer[map[string]found](r.t, interpreter, args...)
	for at, f := range got {
		if f.Rows == 0 {
			r.t.Errorf("%s: no rows", at)
		}
		f.Rows = 0 // comments are the contract's, which delta-rs does not know
		got[at] = f
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("(-Glue +delta-rs)\n%s", diff)
	}
}
