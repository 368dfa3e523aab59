package delta

import (
	"bytes"
	"encoding/json"
)

// CommitInfo is a commit's provenance (protocol, "Commit Provenance Information"). The protocol leaves it free:
// on read, fields of an unexpected type are ignored.
type CommitInfo struct {
	InCommitTimestamp   *int64            `json:"inCommitTimestamp,omitempty"` // milliseconds
	Timestamp           int64             `json:"timestamp"`                   // milliseconds
	Operation           string            `json:"operation,omitempty"`
	OperationParameters map[string]any    `json:"operationParameters"`
	ReadVersion         *int64            `json:"readVersion,omitempty"`
	IsolationLevel      string            `json:"isolationLevel,omitempty"`
	IsBlindAppend       *bool             `json:"isBlindAppend,omitempty"`
	OperationMetrics    map[string]any    `json:"operationMetrics,omitempty"`
	UserMetadata        string            `json:"userMetadata,omitempty"`
	EngineInfo          string            `json:"engineInfo,omitempty"`
	TxnID               string            `json:"txnId,omitempty"`
	Tags                map[string]string `json:"tags,omitempty"`
	Attempt             int64             `json:"lakestepAttempt,omitempty"` // ours: the invocation that wrote it
}

// erasureTag is the tag of commitInfo that holds Operation.Erasure.
const erasureTag = "lakestep.erasure"

// Erasure tells whether the commit deletes rows for good (Operation.Erasure), and by whose order. Those who follow the
// table step by step pass over it.
func (c Commit) Erasure() (id string, ok bool) {
	id, ok = c.Info.Tags[erasureTag]
	return id, ok
}

// UnmarshalJSON takes each field that has the expected type and leaves out the others.
func (c *CommitInfo) UnmarshalJSON(b []byte) error {
	*c = CommitInfo{}
	var raw map[string]json.RawMessage
	if json.Unmarshal(b, &raw) != nil {
		return nil // free text is legal here
	}
	take(raw["inCommitTimestamp"], &c.InCommitTimestamp)
	take(raw["timestamp"], &c.Timestamp)
	take(raw["operation"], &c.Operation)
	take(raw["operationParameters"], &c.OperationParameters)
	take(raw["readVersion"], &c.ReadVersion)
	take(raw["isolationLevel"], &c.IsolationLevel)
	take(raw["isBlindAppend"], &c.IsBlindAppend)
	take(raw["operationMetrics"], &c.OperationMetrics)
	take(raw["userMetadata"], &c.UserMetadata)
	take(raw["engineInfo"], &c.EngineInfo)
	take(raw["txnId"], &c.TxnID)
	take(raw["tags"], &c.Tags)
	take(raw["lakestepAttempt"], &c.Attempt)
	return nil
}

// MarshalJSON writes operationParameters also when there are none: Spark expects the field.
func (c CommitInfo) MarshalJSON() ([]byte, error) {
	type fields CommitInfo
	if c.OperationParameters == nil {
		c.OperationParameters = map[string]any{}
	}
	return marshal(fields(c))
}

// take decodes raw into out, numbers exactly, and leaves out as it is when raw does not fit.
func take[T any](raw json.RawMessage, out *T) {
	if len(raw) == 0 {
		return
	}
	var v T
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&v) == nil {
		*out = v
	}
}
