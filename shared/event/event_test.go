package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
)

const samples = "../../events"

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// wanted has a line for every file in events/.
func wanted() map[string][]event.Trigger {
	grid := event.Trigger{
		Kind: event.Object, Source: event.EventGrid, Bucket: "landing", Key: "retail/1997q1/orders/orders 1997q1+a.csv",
		Time: at("2026-02-01T02:03:04.5678901Z"), ID: "831e1650-001e-001b-66ab-eeb76e069631",
	}
	flushed, blob, cloud := grid, grid, grid
	flushed.Key = "retail/1997q1/orders/orders_1997q1.csv"
	blob.Key, blob.ID = "retail/1997q1/customers/customers.jsonl", "831e1650-001e-001b-66ab-eeb76e069632"
	cloud.ID = "9aeb0fdf-c01e-0131-0922-9eb54906e209"
	s3 := func(key, id, time string) event.Trigger {
		return event.Trigger{Kind: event.Object, Source: event.S3, Bucket: "example-landing", Key: key, ID: id, Time: at(time)}
	}
	return map[string][]event.Trigger{
		"s3-object-created.json": {s3("retail/1997q1/orders/orders_1997q1.csv", "C3D13FE58DE4C810", "2026-02-01T02:03:04.567Z")},
		"s3-several-records.json": {
			s3("retail/1997q1/orders/orders 1997q1+a.csv", "C3D13FE58DE4C810", "2026-02-01T02:03:04.567Z"),
			s3("retail/1997q1/customers/Käufer.jsonl", "C3D13FE58DE4C812", "2026-02-01T02:03:06Z"),
		},
		"s3-test.json":                     nil,
		"kafka-self-managed.json":          {{Kind: event.Messages, Source: event.Kafka}},
		"stepfunctions-status-change.json": nil,
		"eventbridge-object-created.json": {{
			Kind: event.Object, Source: event.EventBridge, Bucket: "example-landing", Key: "retail/1997q1/orders/orders 1997q1+a.csv",
			Time: at("2026-02-01T02:03:04Z"), ID: "17793124-05d4-b198-2fde-7ededc63b103",
		}},
		"eventbridge-object-deleted.json": nil,
		"eventbridge-schedule.json": {{
			Kind: event.Schedule, Source: event.EventBridge, Time: at("2026-02-01T02:00:00Z"), ID: "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
		}},
		"eventbridge-scheduler.json": {{
			Kind: event.Schedule, Source: event.EventBridge, ID: "d32c5kddcf5bb8c3", Time: time.Date(2026, 2, 1, 2, 0, 0, 0, time.UTC),
		}},
		"eventgrid-blob-created.json":   {grid},
		"eventgrid-several.json":        {flushed, blob},
		"eventgrid-validation.json":     nil,
		"cloudevents-blob-created.json": {cloud},
		"azure-timer.json":              {{Kind: event.Schedule, Source: event.AzureTimer}},
		"manual.json": {{
			Kind: event.Manual, Source: event.CLI, Input: json.RawMessage(`{"pipeline": "retail", "reason": "backfill of 1997q1"}`),
		}},
	}
}

func TestSamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(samples, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	want := wanted()
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(name, func(t *testing.T) {
			triggers, listed := want[name]
			if !listed {
				t.Fatal("the sample has no line in this test")
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := event.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(triggers, got); diff != "" {
				t.Errorf("triggers (-want +got):\n%s", diff)
			}
		})
		delete(want, name)
	}
	for name := range want {
		t.Errorf("sample %s is missing", name)
	}
}

// A trigger goes from state to state as JSON.
func TestTriggerAsJSON(t *testing.T) {
	for name, triggers := range wanted() {
		for _, want := range triggers {
			raw, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got event.Trigger
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			got.Input, want.Input = compact(t, got.Input), compact(t, want.Input)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func compact(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	if raw == nil {
		return nil
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValidationCode(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(samples, "eventgrid-validation.json"))
	if err != nil {
		t.Fatal(err)
	}
	single := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(raw)), "["), "]")
	for _, doc := range []string{string(raw), single} {
		if code, ok := event.ValidationCode([]byte(doc)); !ok || code != "512d38b6-c7b8-40c8-89fe-f46f9e9622b6" {
			t.Errorf("code %q, %v of %s", code, ok, doc)
		}
	}
	for _, doc := range []string{"", "null", "{}", "[]", "x", `{"pipeline":"p"}`} {
		if code, ok := event.ValidationCode([]byte(doc)); ok {
			t.Errorf("code %q of %s", code, doc)
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct{ name, doc, says string }{
		{"empty", ``, "unexpected end of JSON"},
		{"no JSON", `orders.csv`, "invalid character"},
		{"null", `null`, "none of the known shapes"},
		{"a number", `1`, "cannot unmarshal"},
		{"an unknown object", `{"x": 1}`, "none of the known shapes"},
		{"two documents", `{"pipeline":"a"} {"pipeline":"b"}`, "after top-level value"},
		{"array with an unknown object", `[{"x": 1}]`, "item 0"},
		{"misspelt request", `{"pipeline":"a","raeson":"b"}`, "raeson"},
		{"request for nothing", `{"pipeline":""}`, "pipeline is empty"},
		{"request of another type", `{"pipeline":["a"]}`, "cannot unmarshal"},
		{"messages of another sender", `{"eventSource":"aws:mq","records":{}}`, `eventSource is "aws:mq"`},
		{"records of another sender", `{"Records":[{"eventSource":"aws:sqs"}]}`, `eventSource is "aws:sqs"`},
		{"bad encoding", `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%zz"}}}]}`, "invalid URL escape"},
		{"no key", `{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"}}}]}`, "is missing"},
		{"no bucket", `{"detail-type":"Object Created","source":"aws.s3","detail":{"object":{"key":"k"}}}`, "is missing"},
		{"other EventBridge event", `{"detail-type":"EC2 Instance State-change Notification","source":"aws.ec2"}`, "aws.ec2"},
		{"other Event Grid event", `{"eventType":"Microsoft.KeyVault.SecretNewVersionCreated"}`, "KeyVault"},
		{"bad subject", `{"eventType":"Microsoft.Storage.BlobCreated","subject":"/containers/c/k"}`, "is not /blobServices"},
		{"bad time", `{"detail-type":"Scheduled Event","source":"aws.events","time":"yesterday"}`, "yesterday"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := event.Parse([]byte(tt.doc))
			if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Parse = %v, %v; want InvalidInput that says %q", got, err, tt.says)
			}
			if strings.Contains(tt.says, "known shapes") && !strings.Contains(fault.HintOf(err), "S3 notification") {
				t.Errorf("hint %q does not name the shapes", fault.HintOf(err))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join(samples, "*.json"))
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		triggers, err := event.Parse(raw)
		if err != nil && (fault.KindOf(err) != fault.InvalidInput || triggers != nil) {
			t.Errorf("Parse = %v, %v", triggers, err)
		}
		for _, tr := range triggers {
			if tr.Kind == "" || tr.Source == "" || (tr.Kind == event.Object && (tr.Bucket == "" || tr.Key == "")) {
				t.Errorf("incomplete trigger %+v", tr)
			}
		}
	})
}
