package event

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// s3Notification is version 2.x of the S3 event message.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
type s3Notification struct {
	Records []struct {
		EventSource string    `json:"eventSource"`
		EventTime   time.Time `json:"eventTime"`
		EventName   string    `json:"eventName"`
		Response    struct {
			RequestID string `json:"x-amz-request-id"`
		} `json:"responseElements"`
		S3 struct {
			Bucket struct {
				Name string `json:"name"`
			} `json:"bucket"`
			Object struct {
				Key       string `json:"key"` // form-encoded: + for a space
				Sequencer string `json:"sequencer"`
			} `json:"object"`
		} `json:"s3"`
	} `json:"Records"`
}

func parseS3(raw json.RawMessage) ([]Trigger, error) {
	var n s3Notification
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, err
	}
	var ts []Trigger
	for i, r := range n.Records {
		if r.EventSource != "aws:s3" {
			return nil, fmt.Errorf("record %d: eventSource is %q, want aws:s3", i, r.EventSource)
		}
		if !strings.HasPrefix(r.EventName, "ObjectCreated:") {
			continue
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return nil, fmt.Errorf("record %d: object key: %w", i, err)
		}
		id := r.Response.RequestID
		if id == "" {
			id = r.S3.Object.Sequencer
		}
		t, err := objectTrigger(S3, r.S3.Bucket.Name, key, id, r.EventTime)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		ts = append(ts, t)
	}
	return ts, nil
}

// bridgeEvent is the envelope of EventBridge with the detail of an S3 event in it (the key there is not encoded).
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
type bridgeEvent struct {
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Time       time.Time `json:"time"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key string `json:"key"`
		} `json:"object"`
	} `json:"detail"`
}

func parseEventBridge(raw json.RawMessage) ([]Trigger, error) {
	var e bridgeEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	switch {
	case e.Source == "aws.s3" && e.DetailType == "Object Created":
		t, err := objectTrigger(EventBridge, e.Detail.Bucket.Name, e.Detail.Object.Key, e.ID, e.Time)
		return []Trigger{t}, err
	case e.Source == "aws.s3":
		return nil, nil // Object Deleted and the like
	case e.Source == "aws.states": // a run has ended: nothing by itself, but a reason to look for what came during it
		return nil, nil
	case e.DetailType == "Scheduled Event":
		return []Trigger{{Kind: Schedule, Source: EventBridge, ID: e.ID, Time: e.Time.UTC()}}, nil
	}
	return nil, fmt.Errorf("%q from %q: want Object Created from aws.s3, or Scheduled Event", e.DetailType, e.Source)
}

func objectTrigger(from Source, bucket, key, id string, at time.Time) (Trigger, error) {
	if bucket == "" || key == "" {
		return Trigger{}, fmt.Errorf("the bucket (%q) or the key (%q) is missing", bucket, key)
	}
	return Trigger{Kind: Object, Source: from, Bucket: bucket, Key: key, ID: id, Time: at.UTC()}, nil
}

// parseKafka reads what an event source mapping hands to a function: messages of a topic, from MSK or brokers of one's own. They say that there is
// something to read; the pipeline reads the topic itself, from its own position.
// https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html
func parseKafka(raw json.RawMessage) ([]Trigger, error) {
	var e struct {
		EventSource string                       `json:"eventSource"`
		Records     map[string][]json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	if e.EventSource != "aws:kafka" && e.EventSource != "SelfManagedKafka" {
		return nil, fmt.Errorf("eventSource is %q, want aws:kafka or SelfManagedKafka", e.EventSource)
	}
	for _, messages := range e.Records {
		if len(messages) > 0 {
			return []Trigger{{Kind: Messages, Source: Kafka}}, nil // their times are the producers', and say little of when to look
		}
	}
	return nil, nil
}
