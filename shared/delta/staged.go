package delta

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Staged names a transaction that was written aside, by place and content.
type Staged struct {
	Attempt int64  `json:"attempt"`
	Key     string `json:"key"`    // in the lake
	SHA256  string `json:"sha256"` // of the document, hexadecimal
}

const (
	stagedFormat = "lakestep.staged/1"
	stagedFolder = "_lakestep/staged/"
)

// stagedDocument is a transaction by itself: what it takes to commit it in another process.
type stagedDocument struct {
	Format      string            `json:"format"`
	Table       string            `json:"table"`
	TableID     string            `json:"tableId,omitempty"`
	ReadVersion int64             `json:"readVersion"`
	TxnID       string            `json:"txnId"`
	Operation   Operation         `json:"operation"`
	Reads       readSet           `json:"reads"`
	NewVectors  bool              `json:"newVectors,omitempty"`
	Checked     bool              `json:"constraintsHold,omitempty"`
	Actions     []json.RawMessage `json:"actions"`
}

// Stage writes the transaction to `<table>/_lakestep/staged/<attempt>.json`, which no reader of the table sees.
// attempt is a positive number that no other invocation uses. Repeating the call is harmless; another transaction
// under the same attempt is an Internal fault.
func (x *Txn) Stage(ctx context.Context, attempt int64) (Staged, error) {
	if attempt <= 0 {
		return Staged{}, fault.New(fault.InvalidInput, "stage commit of", x.table.prefix, "attempt %d is not positive", attempt)
	}
	base, err := x.Base(ctx)
	if err != nil {
		return Staged{}, err
	}
	if err := x.check(base); err != nil {
		return Staged{}, err
	}
	x.op.Attempt = attempt
	body, err := x.document()
	if err != nil {
		return Staged{}, fault.New(fault.InvalidInput, "stage commit of", x.table.prefix, "%w", err)
	}
	staged := Staged{Attempt: attempt, Key: x.table.stagedKey(attempt), SHA256: digest(body)}
	err = x.table.store.Put(ctx, staged.Key, bytes.NewReader(body), store.PutOptions{IfAbsent: true})
	if err == nil {
		return staged, nil
	}
	// Also after a lost answer: what counts is whether this very document is there now.
	if there, readErr := x.table.readStaged(ctx, staged.Key); readErr == nil {
		if digest(there) == staged.SHA256 {
			return staged, nil
		}
		return Staged{}, fault.New(fault.Internal, "stage commit of", x.table.prefix, "attempt %d is taken by another transaction", attempt)
	}
	return Staged{}, fault.New(storeKind(err), "stage commit of", x.table.prefix, "%w", err)
}

func (t *Table) stagedKey(attempt int64) string {
	return t.key(fmt.Sprintf("%s%d.json", stagedFolder, attempt))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (x *Txn) document() ([]byte, error) {
	doc := stagedDocument{
		Format: stagedFormat, Table: x.table.prefix, TableID: x.tableID, ReadVersion: x.readVersion, TxnID: x.id,
		Operation: x.op, Reads: x.reads, NewVectors: x.newVectors, Checked: x.constraintsHold, Actions: []json.RawMessage{},
	}
	for _, a := range x.Actions() {
		text, err := encodeLine(a)
		if err != nil {
			return nil, err
		}
		doc.Actions = append(doc.Actions, text)
	}
	return marshal(doc)
}

func (t *Table) readStaged(ctx context.Context, key string) ([]byte, error) {
	r, err := t.store.Open(ctx, key, store.Range{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// LoadStaged reads a staged transaction back. A document that is missing, belongs to another table or is not the one
// that was staged (by its SHA-256) is an InvalidInput fault.
func (t *Table) LoadStaged(ctx context.Context, staged Staged) (*Txn, error) {
	refuse := func(format string, args ...any) (*Txn, error) {
		return nil, fault.New(fault.InvalidInput, "load staged commit", staged.Key, format, args...).
			WithHint("run the step again; it stages a new commit")
	}
	if !strings.HasPrefix(staged.Key, t.key(stagedFolder)) || staged.Key != t.stagedKey(staged.Attempt) {
		return refuse("not attempt %d of table %s", staged.Attempt, t.prefix)
	}
	body, err := t.readStaged(ctx, staged.Key)
	if errors.Is(err, store.ErrNotFound) {
		return refuse("%w", err)
	}
	if err != nil {
		return nil, err
	}
	if got := digest(body); got != staged.SHA256 {
		return refuse("the document changed since it was staged: SHA-256 is %s, expected %s", got, staged.SHA256)
	}
	var doc stagedDocument
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // operation parameters stay exact
	if err := dec.Decode(&doc); err != nil {
		return refuse("%w", err)
	}
	if doc.Format != stagedFormat || doc.Table != t.prefix || doc.TxnID == "" {
		return refuse("format %q of table %q is not %q of %q", doc.Format, doc.Table, stagedFormat, t.prefix)
	}
	x := &Txn{table: t, readVersion: doc.ReadVersion, tableID: doc.TableID, id: doc.TxnID, op: doc.Operation, reads: doc.Reads,
		newVectors: doc.NewVectors, constraintsHold: doc.Checked}
	switch doc.Reads.Mode {
	case readAll, readSome, readNothing:
	default:
		return refuse("read set of unknown kind %q", doc.Reads.Mode)
	}
	for i, text := range doc.Actions {
		l, err := decodeLine(text)
		if err != nil {
			return refuse("action %d: %w", i+1, err)
		}
		x.changes.take(l)
	}
	return x, nil
}
