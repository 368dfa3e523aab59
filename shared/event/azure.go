package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const validationType = "Microsoft.EventGrid.SubscriptionValidationEvent"

// gridEvent is an event in Event Grid's own schema.
// https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
type gridEvent struct {
	ID        string    `json:"id"`
	Subject   string    `json:"subject"`
	EventType string    `json:"eventType"`
	EventTime time.Time `json:"eventTime"`
	Data      gridData  `json:"data"`
}

type gridData struct {
	API            string `json:"api"`
	ValidationCode string `json:"validationCode"`
}

func parseEventGrid(raw json.RawMessage) ([]Trigger, error) {
	var e gridEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	return e.triggers()
}

// parseCloudEvent reads the same event in the CloudEvents 1.0 schema.
// https://learn.microsoft.com/azure/event-grid/cloud-event-schema
func parseCloudEvent(raw json.RawMessage) ([]Trigger, error) {
	var e struct {
		ID      string    `json:"id"`
		Subject string    `json:"subject"`
		Type    string    `json:"type"`
		Time    time.Time `json:"time"`
		Data    gridData  `json:"data"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	return gridEvent{ID: e.ID, Subject: e.Subject, EventType: e.Type, EventTime: e.Time, Data: e.Data}.triggers()
}

func (e gridEvent) triggers() ([]Trigger, error) {
	switch {
	case e.EventType == "Microsoft.Storage.BlobCreated" && e.Data.API == "CreateFile":
		return nil, nil // Data Lake Storage announces the empty file first, and again (FlushWithClose) when it is whole
	case e.EventType == "Microsoft.Storage.BlobCreated":
		container, key, err := splitSubject(e.Subject)
		if err != nil {
			return nil, err
		}
		t, err := objectTrigger(EventGrid, container, key, e.ID, e.EventTime)
		return []Trigger{t}, err
	case e.EventType == validationType || strings.HasPrefix(e.EventType, "Microsoft.Storage."):
		return nil, nil
	}
	return nil, fmt.Errorf("event of type %q: want Microsoft.Storage.BlobCreated", e.EventType)
}

// splitSubject takes apart /blobServices/default/containers/<container>/blobs/<key>; the key is not encoded.
func splitSubject(subject string) (container, key string, err error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(subject, "/"), "blobServices/default/containers/")
	if ok {
		container, key, ok = strings.Cut(rest, "/blobs/")
	}
	if !ok {
		return "", "", fmt.Errorf("subject %q is not /blobServices/default/containers/<container>/blobs/<key>", subject)
	}
	return container, key, nil
}

// ValidationCode finds Event Grid's handshake in a delivery: a webhook answers it with
// {"validationResponse": code}. The trigger binding of Azure Functions does so by itself.
// https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
func ValidationCode(raw []byte) (code string, ok bool) {
	var events []gridEvent
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	if json.Unmarshal(raw, &events) != nil {
		return "", false
	}
	for _, e := range events {
		if e.EventType == validationType && e.Data.ValidationCode != "" {
			return e.Data.ValidationCode, true
		}
	}
	return "", false
}

// parseTimer reads TimerInfo of Azure Functions, which says neither an id nor the time that it stands for.
// https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#usage
func parseTimer(raw json.RawMessage) ([]Trigger, error) {
	var timer struct {
		IsPastDue *bool
	}
	if err := json.Unmarshal(raw, &timer); err != nil {
		return nil, err
	}
	return []Trigger{{Kind: Schedule, Source: AzureTimer}}, nil
}
