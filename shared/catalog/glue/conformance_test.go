package glue_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/s3"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// foreign is what delta-rs finds at a location: columns and keys as name, type in Hive's words, comment.
type foreign struct {
	Columns, Keys [][3]string
	Rows          int
}

func deltars[T any](t *testing.T, args ...string) (out T) {
	t.Helper()
	python := os.Getenv("LAKESTEP_TEST_PYTHON")
	if python == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/deltars.py"}, args...)...)
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.String())
	}
	return out
}

func triples(all []types.Column) [][3]string {
	out := [][3]string{}
	for _, c := range all {
		out = append(out, [3]string{aws.ToString(c.Name), aws.ToString(c.Type), aws.ToString(c.Comment)})
	}
	return out
}

// A table made by delta-rs in S3 is registered from its log; delta-rs, sent to the entry's location, finds there what the entry says.
func testAnotherReaderAgrees(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	gateway := storetest.Versitygw(t)
	name := gateway.Bucket(t)
	raw, err := json.Marshal(map[string]string{"endpoint_url": gateway.Endpoint, "access_key_id": gateway.AccessKey, "secret_access_key": gateway.SecretKey,
		"region": "us-east-1", "allow_http": "true"})
	if err != nil {
		t.Fatal(err)
	}
	options, lake := string(raw), "s3://"+name+"/lake"
	deltars[any](t, "make", lake+"/silver/orders", options)

	cfg := r.cfg
	cfg.HTTPClient, cfg.BaseEndpoint = nil, &gateway.Endpoint
	cfg.Credentials = credentials.NewStaticCredentialsProvider(gateway.AccessKey, gateway.SecretKey, "")
	objects, err := s3.New(t.Context(), cfg, s3.Options{Bucket: name, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := delta.Open(store.Sub(objects, "lake"), "silver/orders", delta.Options{Now: time.Now, NewID: uuid.NewString, Engine: "test"}).Snapshot(t.Context(), delta.AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	table := catalog.Table{Name: "silver.orders", Pipeline: "shop", Lake: lake, Location: lake + "/silver/orders", ID: snap.Metadata().ID, Version: snap.Version(),
		Schema: snap.Schema(), Partitions: snap.Metadata().PartitionColumns}
	r.want(r.catalog(glue.Options{Database: "shop"}), table, catalog.Created, nil, "GetTable", "CreateTable")

	entry := r.get("shop", "silver_orders")
	at := entry.StorageDescriptor.SerdeInfo.Parameters["path"]
	if at != aws.ToString(entry.StorageDescriptor.Location) {
		t.Errorf("path %s, location %s", at, *entry.StorageDescriptor.Location)
	}
	want := foreign{Columns: triples(entry.StorageDescriptor.Columns), Keys: triples(entry.PartitionKeys), Rows: 2}
	if diff := cmp.Diff(deltars[map[string]foreign](t, "read", options, at)[at], want); diff != "" {
		t.Errorf("(-delta-rs +Glue)\n%s", diff)
	}
	if len(want.Columns) != 12 || len(want.Keys) != 2 || want.Keys[1] != [3]string{"country", "string", "Two letters."} {
		t.Errorf("%+v", want)
	}
}
