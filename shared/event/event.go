// Package event turns what wakes a pipeline (a storage notification, a schedule, a person) into one shape, the
// Trigger.
//
// Events are hints: they say that it may be worth looking, and a pipeline then lists its source itself. No
// step trusts a key in a Trigger; a lost, repeated or forged event can cost a look, never a row.
package event

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// Kind is what sort of thing woke the pipeline.
type Kind string

// The kinds of Trigger.
const (
	Object   Kind = "object"   // an object was written
	Schedule Kind = "schedule" // the time has come
	Manual   Kind = "manual"   // a person or a program asked for a run
	Messages Kind = "messages" // a topic has messages
)

// Source is who sent the event.
type Source string

// The senders.
const (
	S3          Source = "s3"          // S3 event notification
	EventBridge Source = "eventbridge" // Amazon EventBridge
	EventGrid   Source = "eventgrid"   // Azure Event Grid, in its own schema or as CloudEvents
	AzureTimer  Source = "azuretimer"  // timer trigger of Azure Functions
	Kafka       Source = "kafka"       // event source mapping of AWS Lambda to a topic
	CLI         Source = "cli"         // a request for a run, by whatever way it came
)

// Trigger is one event. Only Kind and Source are always set.
type Trigger struct {
	Kind   Kind            `json:"kind"`
	Source Source          `json:"source"`
	Bucket string          `json:"bucket,omitempty"` // object: the S3 bucket, or the container of the storage account
	Key    string          `json:"key,omitempty"`    // object: decoded
	Time   time.Time       `json:"time,omitzero"`    // when it happened, as the sender says; UTC
	ID     string          `json:"id,omitempty"`     // the sender's; a redelivered event has the same
	Input  json.RawMessage `json:"input,omitempty"`  // manual: the Request as it was sent
}

// Request is the document that asks for a run by hand, and the Input of its Trigger.
type Request struct {
	Pipeline string `json:"pipeline"`
	Reason   string `json:"reason,omitempty"` // for the run's record
}

// shape is one form of event: what tells it from the others, and its reader.
type shape struct {
	name  string
	marks func(fields) bool
	parse func(json.RawMessage) ([]Trigger, error)
}

func shapes() []shape {
	return []shape{
		{"S3 notification (Records)", has("Records"), parseS3},
		{"S3 test event", has("Service", "Event", "Bucket"), nothing},
		{"Kafka batch of AWS Lambda (eventSource, records)", has("eventSource", "records"), parseKafka},
		{"EventBridge event (detail-type)", has("detail-type", "source"), parseEventBridge},
		{"Event Grid event (eventType), alone or in an array", has("eventType"), parseEventGrid},
		{"CloudEvents 1.0 from Event Grid (specversion), alone or in an array", has("specversion", "type"), parseCloudEvent},
		{"timer of Azure Functions (IsPastDue)", has("IsPastDue"), parseTimer},
		{`request by hand ({"pipeline": "...", "reason": "..."})`, has("pipeline"), parseRequest},
	}
}

// Parse reads an event in any of the known shapes. One notification may hold several events, or none that
// calls for a run: deletions, tests and Event Grid's handshake (see ValidationCode) give an empty list. Any
// other document is an InvalidInput fault that names the shapes.
func Parse(raw []byte) ([]Trigger, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		return parseArray(raw)
	}
	return parseOne(raw)
}

// parseArray reads a delivery of Event Grid, the only sender of arrays.
func parseArray(raw []byte) ([]Trigger, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, bad("%w", err)
	}
	var all []Trigger
	for i, item := range items {
		ts, err := parseOne(item)
		if err != nil {
			return nil, bad("item %d: %w", i, err)
		}
		all = append(all, ts...)
	}
	return all, nil
}

func parseOne(raw json.RawMessage) ([]Trigger, error) {
	var f fields
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, bad("%w", err)
	}
	for _, s := range shapes() {
		if s.marks(f) {
			ts, err := s.parse(raw)
			if err != nil {
				return nil, bad("%s: %w", s.name, err)
			}
			return ts, nil
		}
	}
	known := ""
	for _, s := range shapes() {
		known += "; " + s.name
	}
	return nil, bad("none of the known shapes").WithHint("known shapes: %s", known[2:])
}

// fields are a JSON object's, by name.
type fields map[string]json.RawMessage

// has marks a shape by fields that are there.
func has(names ...string) func(fields) bool {
	return func(f fields) bool {
		for _, n := range names {
			if _, ok := f[n]; !ok {
				return false
			}
		}
		return true
	}
}

func nothing(json.RawMessage) ([]Trigger, error) { return nil, nil }

func bad(format string, args ...any) *fault.Fault {
	return fault.New(fault.InvalidInput, "read", "event", format, args...)
}

// parseRequest takes no fields but those of Request: a misspelt one would run the wrong thing.
func parseRequest(raw json.RawMessage) ([]Trigger, error) {
	var r Request
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, err
	}
	if r.Pipeline == "" {
		return nil, bad("pipeline is empty")
	}
	return []Trigger{{Kind: Manual, Source: CLI, Input: raw}}, nil
}
