package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/stepfunctions"
)

const shop = "../../testdata/shop"

func newShop(t *testing.T) (*cloud, *twin) {
	t.Helper()
	pipeline, err := filepath.Abs(shop)
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, pipeline)
	return c, newTwin(c)
}

// ended is what EventBridge tells of the end of an execution.
func (c *cloud) ended(r stepfunctions.Result) json.RawMessage {
	c.t.Helper()
	raw, err := json.Marshal(map[string]any{
		"version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175", "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "account": "123456789012",
		"time": r.Ended.UTC().Format(time.RFC3339), "region": "us-east-1", "resources": []string{r.ARN},
		"detail": map[string]any{"executionArn": r.ARN, "stateMachineArn": c.arn, "name": r.Name, "status": r.Status, "startDate": r.Started.UnixMilli(), "stopDate": r.Ended.UnixMilli()},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// TestStorm lets 10,000 objects be told of while runs are on, by several starters at once, with every tenth batch twice: a few runs come of it, and the
// lake has what landed.
func TestStorm(t *testing.T) {
	c, w := newShop(t)
	told := c.land(filepath.Join(shop, "landing"), "batch-1")
	runs := c.deliver(told...)
	if len(runs) != 1 {
		t.Fatalf("%d executions", len(runs))
	}
	if r := c.wait(aws.ToString(runs[0].ExecutionArn)); r.Status != "SUCCEEDED" {
		t.Fatalf("%+v\n%s", r, c.logs())
	}
	w.run(told[0]) // a history has what each run saw: both take in the same at once
	c.land(filepath.Join(shop, "landing"), "batch-2")
	batches := make(chan []json.RawMessage)
	var wg sync.WaitGroup
	for range 2 { // what the event source mapping lets work at once
		wg.Go(func() {
			for b := range batches {
				c.deliver(b...)
			}
		})
	}
	for i := range 100 {
		var batch []json.RawMessage
		for j := range 100 {
			batch = append(batch, c.objectCreated(fmt.Sprintf("landing/batch-2/orders/%d-%d with spaces äöü+.csv", i, j)))
		}
		batches <- batch
		if i%10 == 0 {
			batches <- batch
		}
	}
	close(batches)
	wg.Wait()
	for n := 0; ; n = len(c.executions()) { // until the word of a run's end starts no other one
		runs := c.executions()
		if len(runs) == n {
			break
		}
		r := c.wait(aws.ToString(runs[0].ExecutionArn))
		if r.Status != "SUCCEEDED" {
			t.Fatalf("%+v\n%s", r, c.logs())
		}
		c.deliver(c.ended(r))
	}
	runs = c.executions()
	if n := len(runs); n < 2 || n > 6 {
		t.Errorf("%d executions", n)
	}
	for i, r := range runs[1:] { // newest first
		if later := runs[i]; later.StartDate.Before(*r.StopDate) {
			t.Errorf("%s began before %s had ended", *later.Name, *r.Name)
		}
	}
	for o, err := range c.store().List(t.Context(), "lake/_lakestep/triggers/", "") {
		if err != nil || time.Since(o.ModTime) > time.Minute {
			t.Errorf("a note is left: %s, %v", o.Key, err)
		}
	}
	t.Logf("10,000 objects: %d executions", len(runs))
	w.run(told[0])
	w.sameRows()
}

// TestFailure: a run that fails tells why by its name, is on record, starts no other one by its end, and the next event takes up what is left.
func TestFailure(t *testing.T) {
	c, w := newShop(t)
	told := c.land(filepath.Join(shop, "landing"), "batch-1")
	good := c.functions["silver"]
	c.function("silver", "LAKESTEP_LAKE=s3://no-such-bucket/lake")
	first := aws.ToString(c.deliver(told...)[0].ExecutionArn)
	r := c.wait(first)
	if r.Status != "FAILED" || r.Error != string(fault.InvalidInput) || !strings.Contains(fault.CauseOf(r.Cause), "no-such-bucket") {
		t.Fatalf("%+v\n%s", r, c.logs())
	}
	if runs := c.deliver(c.ended(r)); len(runs) != 1 {
		t.Errorf("the word of a failure: %d executions", len(runs))
	}
	if runs := c.deliver(told...); len(runs) != 1 {
		t.Errorf("the events of the failed run again: %d executions", len(runs))
	}
	c.functions["silver"] = good
	c.service.Add("silver", good)
	runs := c.deliver(c.land(filepath.Join(shop, "landing"), "batch-2")...)
	if len(runs) != 2 {
		t.Fatalf("after the failure: %d executions", len(runs))
	}
	if r := c.wait(aws.ToString(runs[0].ExecutionArn)); r.Status != "SUCCEEDED" {
		t.Fatalf("%+v\n%s", r, c.logs())
	}
	w.run(told[0])
	w.sameRows()
}

// TestNoEvent: a message that is no event goes back to the queue, and no other one with it.
func TestNoEvent(t *testing.T) {
	c, _ := newShop(t)
	a, err := c.functions[starterName].Invoke(t.Context(), []byte(`{"Records":[{"messageId":"a","body":"{\"what\":1}"},{"messageId":"b","body":"{\"source\":\"aws.s3\",\"detail-type\":\"Object Deleted\"}"}]}`))
	if err != nil || string(a.Payload) != `{"batchItemFailures":[{"itemIdentifier":"a"}]}` {
		t.Errorf("%s, %v", a.Payload, err)
	}
	if n := len(c.executions()); n != 0 {
		t.Errorf("%d executions", n)
	}
}

// TestMessages: an event source mapping hands over messages of a topic, without a queue in between.
func TestMessages(t *testing.T) {
	c, _ := newShop(t)
	raw, err := os.ReadFile("../../../events/kafka-self-managed.json")
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.functions[starterName].Invoke(t.Context(), raw)
	if runs := c.executions(); err != nil || a.Failed || len(runs) != 1 {
		t.Fatalf("%s, %v, %d executions", a.Payload, err, len(runs))
	}
	if r := c.wait(aws.ToString(c.executions()[0].ExecutionArn)); r.Status != "SUCCEEDED" {
		t.Errorf("%+v", r)
	}
	if a, err := c.functions[starterName].Invoke(t.Context(), []byte(`{"hello":1}`)); err != nil || a.ErrorType() != string(fault.InvalidInput) {
		t.Errorf("%s, %v", a.Payload, err)
	}
}
