package terraformtest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	cdnow "github.com/lakestep/lakestep/sample"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/store/storetest"
	"github.com/lakestep/lakestep/tools/lambdatest"
)

// root is the project's folder.
const root = "../.."

// deployment is a stack that the scripts of tools/aws put into moto, whose functions run as processes.
type deployment struct {
	applied
	t        *testing.T
	service  *lambdatest.Service
	packages map[string]string // folder by digest
	env      []string
	arn      string
}

// TestDeploy goes the way of docs/aws.md: make deploy/aws, a run on sample data, a second one, an update of the pipeline, back to the code before,
// and make destroy/aws, which keeps the data until it is told not to.
func TestDeploy(t *testing.T) {
	file := os.Getenv("LAKESTEP_TEST_PACKAGE")
	if file == "" {
		t.Skip("SKIPPED: no package to deploy: LAKESTEP_TEST_PACKAGE is not set (make test/aws builds one)")
	}
	d := newDeployment(t)
	first := d.unpack(file)
	d.deploy(first)
	bucket := d.output("bucket")
	d.arn = d.output("state_machine_arn")

	d.land(bucket, "1997q1")
	d.run()
	rows := d.query("SELECT count(*) AS n FROM silver.cleaned_orders")
	d.land(bucket, "1997q2")
	d.run()
	if more := d.query("SELECT count(*) AS n FROM silver.cleaned_orders"); more <= rows || rows == 0 {
		t.Errorf("%d rows, after the second quarter %d", rows, more)
	}

	d.land(bucket, "1997q3")
	d.told(bucket)
	if again := d.query("SELECT count(DISTINCT order_ts) AS n FROM silver.cleaned_orders WHERE order_ts >= TIMESTAMP '1997-07-01'"); again < 80 {
		t.Errorf("after the events of the third quarter there are orders of %d of its days", again)
	}

	d.deploy(d.changed(first))
	d.run()
	if live := d.liveVersion("publish"); live != "2" {
		t.Errorf("after an update version %s is live", live)
	}
	d.script("rollback.sh")
	if live := d.liveVersion("publish"); live != "1" {
		t.Errorf("after a rollback version %s is live", live)
	}
	d.run()

	d.script("destroy.sh")
	if n := d.objects(bucket); n < 50 {
		t.Errorf("destroy kept %d objects", n)
	}
	d.script("destroy.sh", "KEEP_DATA=false")
	if buckets, err := d.s3().ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil || len(buckets.Buckets) > 0 {
		t.Errorf("after KEEP_DATA=false: %v, %v", buckets, err)
	}
	if strings.Contains(d.service.Logs(), "tester-secret") {
		t.Error("a secret is in the logs")
	}
}

func newDeployment(t *testing.T) *deployment {
	t.Helper()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("SKIPPED: the aws command is missing")
	}
	service := lambdatest.Serve(t)
	moto := storetest.Moto(t, "MOTO_PORT="+service.Port())
	service.Upstream(moto.Endpoint)
	resp, err := http.Post(moto.Endpoint+"/moto-api/config", "application/json", strings.NewReader(`{"stepfunctions":{"execute_state_machine":true},"lambda":{"use_docker":false}}`)) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	d := &deployment{t: t, service: service, packages: map[string]string{}, applied: genuineAt(t, func() string { return service.URL })}
	d.env = append(service.Environ(), d.Env...)
	d.env = append(d.env, "EXAMPLE="+d.Dir, "TF_INIT=skip", "YES=1", "SKIP_PACKAGE=1", "AWS_PAGER=")
	service.Deployed(t, func(digest string) (string, error) {
		folder, ok := d.packages[digest]
		if !ok {
			return "", fmt.Errorf("no package has the digest %s", digest)
		}
		return folder, nil
	}, "AWS_ENDPOINT_URL="+service.URL, "AWS_ACCESS_KEY_ID=tester", "AWS_SECRET_ACCESS_KEY=tester-secret")
	return d
}

// unpack makes a package known by its digest, as Lambda tells it, and gives its file.
func (d *deployment) unpack(file string) string {
	d.t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		d.t.Fatal(err)
	}
	folder := d.t.TempDir()
	if err := os.CopyFS(folder, r); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(folder, "bootstrap"), 0o755); err != nil {
		d.t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	d.packages[base64.StdEncoding.EncodeToString(sum[:])] = folder
	return file
}

// changed is a package of the same program with another pipeline.yaml.
func (d *deployment) changed(file string) string {
	d.t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Close()
	out := filepath.Join(d.t.TempDir(), "changed.zip")
	f, err := os.Create(out)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for _, entry := range r.File {
		if entry.Name != "config/retail/pipeline.yaml" {
			if err := w.Copy(entry); err != nil {
				d.t.Fatal(err)
			}
			continue
		}
		in, err := entry.Open()
		if err != nil {
			d.t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			d.t.Fatal(err)
		}
		to, err := w.Create(entry.Name)
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := to.Write(append(text, "# an update\n"...)); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		d.t.Fatal(err)
	}
	return d.unpack(out)
}

// script runs one of tools/aws, as make does.
func (d *deployment) script(name string, more ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	said, err := os.Create(filepath.Join(d.t.TempDir(), name+".txt"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tools/aws", name))
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = append(d.env, more...), said, said, 10*time.Second
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(said.Name())
		d.t.Fatalf("%s: %v\n%s\n%s", name, err, out, d.service.Logs())
	}
	d.t.Logf("%s %s: %.1f s", name, strings.Join(more, " "), time.Since(began).Seconds())
}

// deploy is make deploy/aws of a package: with the run that it ends with.
func (d *deployment) deploy(file string) {
	d.t.Helper()
	abs, err := filepath.Abs(file)
	if err != nil {
		d.t.Fatal(err)
	}
	d.env = append(d.env, "TF_ARGS=-var package="+abs)
	d.script("deploy.sh")
}

func (d *deployment) output(name string) string {
	d.t.Helper()
	out, err := d.Run(d.t.Context(), "output", "-raw", name)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// land uploads a quarter of the sample.
func (d *deployment) land(bucket, quarter string) {
	d.t.Helper()
	dir := d.t.TempDir()
	if _, err := cdnow.Write(dir, quarter); err != nil {
		d.t.Fatal(err)
	}
	d.command("aws", "s3", "cp", "--recursive", "--quiet", dir, "s3://"+bucket+"/landing/")
}

// run starts an execution by the command line, and waits for it to succeed.
func (d *deployment) run() {
	d.t.Helper()
	d.command(filepath.Join(root, "bin/lakestep"), "aws", "start", "--state-machine", d.arn, "--wait")
}

// query reads a number out of the lake.
func (d *deployment) query(sql string) int64 {
	d.t.Helper()
	out := d.command(filepath.Join(root, "bin/lakestep"), "query", "-p", filepath.Join(root, "config/retail"), "--lake", d.output("lake_url"), "-o", "json", sql)
	var rows []struct{ N int64 }
	if err := json.Unmarshal(out, &rows); err != nil || len(rows) != 1 {
		d.t.Fatalf("%s: %v", out, err)
	}
	return rows[0].N
}

func (d *deployment) command(program string, args ...string) []byte {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = d.env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		d.t.Fatalf("%s %s: %v\n%s%s\n%s", program, strings.Join(args, " "), err, out, exit.Stderr, d.service.Logs())
	}
	return out
}

// liveVersion is what a function's alias names.
func (d *deployment) liveVersion(step string) string {
	d.t.Helper()
	var functions map[string]string
	if err := json.Unmarshal([]byte(d.command("terraform", "-chdir="+d.Dir, "output", "-json", "functions")), &functions); err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(d.command("aws", "lambda", "get-alias", "--function-name", functions[step], "--name", "live", "--query", "FunctionVersion", "--output", "text")))
}

func (d *deployment) objects(bucket string) int {
	d.t.Helper()
	out, err := d.s3().ListObjectsV2(d.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		d.t.Fatal(err)
	}
	return int(aws.ToInt32(out.KeyCount))
}

// told lets S3's events go the way that was applied: the rule, the queue, the starter, an execution. Those that the rule does not want come to nothing.
func (d *deployment) told(bucket string) {
	d.t.Helper()
	wanted := []string{"landing/1997q3/orders/orders 1997q3+a.csv", "landing/1997q3/Käufer/ü (1).jsonl", "landing/1997q3/products/products.csv"}
	var entries []ebtypes.PutEventsRequestEntry
	put := func(name, kind, key string) {
		detail, err := json.Marshal(map[string]any{
			"version": "0", "bucket": map[string]string{"name": name}, "reason": "PutObject", "requester": "123456789012",
			"object": map[string]any{"key": key, "size": 12, "etag": "b1946ac92492d2347c6235b4d2611184", "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "sequencer": "0065BAF3A8C1D2E3F4"},
		})
		if err != nil {
			d.t.Fatal(err)
		}
		entries = append(entries, ebtypes.PutEventsRequestEntry{Source: aws.String("aws.s3"), DetailType: &kind, Detail: aws.String(string(detail)), Time: aws.Time(time.Now())})
	}
	for _, key := range wanted {
		put(bucket, "Object Created", key)
	}
	put(bucket, "Object Created", "lake/bronze/raw_orders/part-1.parquet")
	put(bucket, "Object Deleted", "landing/1997q3/orders/orders.csv")
	put("another-bucket", "Object Created", "landing/1997q3/orders/orders.csv")
	d.unmap()
	if _, err := eventbridge.NewFromConfig(d.config()).PutEvents(d.t.Context(), &eventbridge.PutEventsInput{Entries: entries}); err != nil {
		d.t.Fatal(err)
	}
	messages := d.received(len(wanted))
	var keys []string
	batch := events.SQSEvent{}
	for _, m := range messages {
		triggers, err := event.Parse([]byte(m))
		if err != nil || len(triggers) != 1 {
			d.t.Fatalf("%s: %v", m, err)
		}
		keys = append(keys, triggers[0].Key)
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint(len(keys)), Body: m})
	}
	slices.Sort(keys)
	slices.Sort(wanted)
	if !slices.Equal(keys, wanted) {
		d.t.Errorf("the queue has %q, want %q", keys, wanted)
	}
	raw, err := json.Marshal(batch)
	if err != nil {
		d.t.Fatal(err)
	}
	out := filepath.Join(d.t.TempDir(), "answer.json")
	payload := filepath.Join(d.t.TempDir(), "batch.json")
	if err := os.WriteFile(payload, raw, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.command("aws", "lambda", "invoke", "--function-name", "lakestep-dev-starter", "--qualifier", "live", "--payload", "file://"+payload, out)
	if answer, err := os.ReadFile(out); err != nil || string(answer) != `{"batchItemFailures":[]}` {
		d.t.Fatalf("starter: %s, %v", answer, err)
	}
	d.command(filepath.Join(root, "bin/lakestep"), "aws", "status", "--state-machine", d.arn, "--wait")
}

// received takes messages from the queue of events, which holds them back for a while.
func (d *deployment) received(want int) (bodies []string) {
	d.t.Helper()
	queue := d.output("queue_url")
	for until := time.Now().Add(40 * time.Second); time.Now().Before(until) && len(bodies) < want+1; {
		out, err := sqs.NewFromConfig(d.config()).ReceiveMessage(d.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, m := range out.Messages {
			bodies = append(bodies, aws.ToString(m.Body))
		}
		if len(bodies) >= want && len(out.Messages) == 0 {
			break
		}
	}
	return bodies
}

// unmap turns the mapping of queue and starter off, for moto hands messages to a function of its own, and deletes them. The next deployment finds that
// something was changed behind its back, and turns it on again.
func (d *deployment) unmap() {
	d.t.Helper()
	c := lambda.NewFromConfig(d.config())
	out, err := c.ListEventSourceMappings(d.t.Context(), &lambda.ListEventSourceMappingsInput{})
	if err != nil || len(out.EventSourceMappings) != 1 {
		d.t.Fatalf("%+v, %v", out, err)
	}
	off := &lambda.UpdateEventSourceMappingInput{UUID: out.EventSourceMappings[0].UUID, Enabled: aws.Bool(false)}
	if _, err := c.UpdateEventSourceMapping(d.t.Context(), off); err != nil {
		d.t.Fatal(err)
	}
}
