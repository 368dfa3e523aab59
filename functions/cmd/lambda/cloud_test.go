package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/host/stepfunctions"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/storetest"
	"github.com/lakestep/lakestep/statemachines"
	"github.com/lakestep/lakestep/tools/lambdatest"
)

// A test's program is the function, too: so what is tested is main.
func TestMain(m *testing.M) {
	if os.Getenv("_HANDLER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// cloud is AWS as far as it can be had here: S3 is versitygw, Step Functions are moto's, the functions are real processes behind the Runtime API.
type cloud struct {
	t         *testing.T
	s3        storetest.Service
	service   *lambdatest.Service
	functions map[string]*lambdatest.Function
	sfn       *sfn.Client
	machine   *stepfunctions.Machine
	arn       string
	bucket    string
	pipeline  string // folder
	payloads  bytes.Buffer
}

const account = "arn:aws:%s:us-east-1:123456789012:%s"

// newCloud sets up a stack for a pipeline, whose landing folder and lake are in one bucket.
func newCloud(t *testing.T, pipeline string) *cloud {
	t.Helper()
	c := &cloud{t: t, s3: storetest.Versitygw(t), service: lambdatest.Serve(t), functions: map[string]*lambdatest.Function{}, pipeline: pipeline}
	moto := storetest.Moto(t, "MOTO_PORT="+c.service.Port())
	c.service.Upstream(moto.Endpoint)
	c.post(moto.Endpoint+"/moto-api/config", `{"stepfunctions":{"execute_state_machine":true},"lambda":{"use_docker":false}}`)
	c.bucket = c.s3.Bucket(t)
	for name, value := range c.credentials() {
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.sfn = sfn.NewFromConfig(cfg)
	definition := string(statemachines.Medallion())
	for _, name := range append(functions.All(functions.Deps{}).Names(), starterName) {
		definition = strings.ReplaceAll(definition, "${"+strings.ToUpper(name[:1])+name[1:]+"}", fmt.Sprintf(account, "lambda", "function:"+name))
		if name != starterName {
			c.function(name)
		}
	}
	out, err := c.sfn.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("medallion"), Definition: &definition, RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), Type: types.StateMachineTypeStandard,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.arn = aws.ToString(out.StateMachineArn)
	c.machine = stepfunctions.New(cfg, c.arn)
	c.function(starterName)
	return c
}

func (c *cloud) credentials() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": c.s3.AccessKey, "AWS_SECRET_ACCESS_KEY": c.s3.SecretKey, "AWS_REGION": "us-east-1",
		"AWS_ENDPOINT_URL": c.service.URL, "AWS_ENDPOINT_URL_S3": c.s3.Endpoint, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	}
}

func (c *cloud) lake() string { return "s3://" + c.bucket + "/lake" }

// function makes the function of a step, with the environment that Terraform gives it.
func (c *cloud) function(name string, more ...string) {
	c.t.Helper()
	vars, err := json.Marshal(map[string]string{"landing": "s3://" + c.bucket + "/landing"})
	if err != nil {
		c.t.Fatal(err)
	}
	env := []string{
		"LAMBDA_TASK_ROOT=" + filepath.Dir(c.pipeline), "LAKESTEP_PIPELINE=" + filepath.Base(c.pipeline), "LAKESTEP_LAKE=" + c.lake(), "LAKESTEP_VARS=" + string(vars),
		"LAKESTEP_STATE_MACHINE=" + c.arn, "LAKESTEP_TMP_MB=2048", "LAKESTEP_LOG_LEVEL=DEBUG",
	}
	for k, v := range c.credentials() {
		env = append(env, k+"="+v)
	}
	f := lambdatest.New(c.t, lambdatest.Options{Program: os.Args[0], Handler: name, Env: append(env, more...), Timeout: 5 * time.Minute, MemoryMB: 1769})
	c.functions[name] = f
	c.service.Add(name, f)
}

func (c *cloud) post(url, body string) {
	c.t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body)) //nolint:noctx // a test
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		c.t.Fatalf("%s: %s", url, resp.Status)
	}
}

// store is the bucket.
func (c *cloud) store() store.Store {
	c.t.Helper()
	s, err := compose.OpenStore(c.t.Context(), "s3://"+c.bucket)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// land uploads the files below a folder, or below some folders in it, and gives the events that S3 tells of them by EventBridge.
func (c *cloud) land(folder, below string) (told []json.RawMessage) {
	c.t.Helper()
	if runs := c.executions(); len(runs) > 0 { // events are dated some seconds back: the run before is not to cover them
		time.Sleep(time.Until(runs[0].StartDate.Add(6 * time.Second)))
	}
	to := c.store()
	err := filepath.WalkDir(filepath.Join(folder, below), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		rel, _ := filepath.Rel(folder, path)
		key := "landing/" + filepath.ToSlash(rel)
		told = append(told, c.objectCreated(key))
		return to.Put(c.t.Context(), key, f, store.PutOptions{})
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return told
}

// objectCreated is the event of an object, as events/eventbridge-object-created.json has it.
func (c *cloud) objectCreated(key string) json.RawMessage {
	c.t.Helper()
	raw, err := os.ReadFile("../../../events/eventbridge-object-created.json")
	if err != nil {
		c.t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(raw, &e); err != nil {
		c.t.Fatal(err)
	}
	e["time"] = time.Now().UTC().Add(-4 * time.Second).Format(time.RFC3339) // the queue holds it back for longer
	detail := e["detail"].(map[string]any)
	detail["bucket"] = map[string]any{"name": c.bucket}
	detail["object"].(map[string]any)["key"] = key
	if raw, err = json.Marshal(e); err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// deliver hands events to the starter as SQS does, and gives the executions that are there afterwards, newest first.
func (c *cloud) deliver(told ...json.RawMessage) []types.ExecutionListItem {
	c.t.Helper()
	batch := events.SQSEvent{}
	for i, e := range told {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint(i), Body: string(e)})
	}
	raw, err := json.Marshal(batch)
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := c.functions[starterName].Invoke(c.t.Context(), raw)
	if err != nil || a.Failed || string(a.Payload) != `{"batchItemFailures":[]}` {
		c.t.Fatalf("starter: %s, %v\n%s", a.Payload, err, c.functions[starterName].Log())
	}
	return c.executions()
}

func (c *cloud) executions() []types.ExecutionListItem {
	c.t.Helper()
	out, err := c.sfn.ListExecutions(c.t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &c.arn})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Executions
}

// wait follows an execution to its end.
func (c *cloud) wait(execution string) stepfunctions.Result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	for {
		r, err := c.machine.Describe(ctx, execution)
		if err != nil {
			c.t.Fatalf("%v\n%s", err, c.logs())
		}
		if !r.Running() {
			return r
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// history is what the service keeps of an execution: all payloads between states.
func (c *cloud) history(execution string) string {
	c.t.Helper()
	out, err := c.sfn.GetExecutionHistory(c.t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := json.Marshal(out.Events)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(raw)
}

func (c *cloud) logs() string {
	var all strings.Builder
	for _, f := range c.functions {
		all.WriteString(f.Log())
	}
	return all.String()
}

// glue has published tables registered in a database, and gives a way to list them.
func (c *cloud) glue(database string) func() []string {
	c.t.Helper()
	cfg, err := config.LoadDefaultConfig(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	client := glue.NewFromConfig(cfg)
	if _, err := client.CreateDatabase(c.t.Context(), &glue.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: &database}}); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range []string{"publish", "complete"} {
		c.function(name, "LAKESTEP_GLUE_DATABASE="+database)
	}
	return func() (names []string) {
		out, err := client.GetTables(c.t.Context(), &glue.GetTablesInput{DatabaseName: &database})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, entry := range out.TableList {
			names = append(names, aws.ToString(entry.Name))
		}
		slices.Sort(names)
		return names
	}
}
