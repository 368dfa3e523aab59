package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Segment names a document with the items that some decisions in a row took. It never changes; later decisions point to it too.
type Segment struct {
	Key    string `json:"key"` // under the table
	SHA256 string `json:"sha256"`
	Items  int    `json:"items"`
}

// Save stores a decision, made durable before the commit that names it. It points to the one before. Every maxDepth-th, at depth 0, puts the
// items of those since the last such one into a segment, and names all segments so far: what is written grows with the items, and the
// way back stays short.
func (t *Table) Save(ctx context.Context, d *Decision) error {
	if !d.Counts.Balanced() {
		return fault.New(fault.Internal, "decide", d.Table, "the counts do not balance: %+v", d.Counts)
	}
	if prev := t.Decision; prev != nil {
		d.Parent, d.Depth = prev.Attempt, prev.Depth+1
	}
	if d.Fresh {
		d.Depth = 0
	}
	if d.Depth == maxDepth {
		if err := t.consolidate(ctx, d); err != nil {
			return err
		}
	}
	_, err := t.put(ctx, decisionKey(d.Attempt), d)
	return err
}

// consolidate makes a decision one of depth 0.
func (t *Table) consolidate(ctx context.Context, d *Decision) error {
	var items []connector.Item // newest first
	err := t.back(ctx, func(e *Decision) bool {
		items = append(items, e.Items...)
		d.Older = e.Older
		return e.Depth > 0
	})
	if err != nil {
		return err
	}
	d.Depth = 0
	if len(items) == 0 {
		return nil
	}
	s := Segment{Key: fmt.Sprintf("_lakestep/cursors/%d-items.json", d.Attempt), Items: len(items)}
	if s.SHA256, err = t.put(ctx, s.Key, items); err != nil {
		return err
	}
	d.Older = append([]Segment{s}, d.Older...)
	return nil
}

// put writes a document of the table once, and gives its digest.
func (t *Table) put(ctx context.Context, key string, doc any) (digest string, err error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return "", fault.New(fault.Internal, "decide", t.Name, "%w", err)
	}
	if len(raw) > maxDocument {
		return "", fault.New(fault.InvalidInput, "decide", t.Name, "%s would have %d bytes, more than %d", key, len(raw), maxDocument).
			WithHint("take in fewer files at once: --page")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), t.lake.Store.Put(ctx, t.Delta.Prefix()+"/"+key, bytes.NewReader(raw), store.PutOptions{IfAbsent: true})
}

// Seen gives how far the table has read its source: the newest decision's cursor, or the items that all its decisions took, each at its newest.
func (t *Table) Seen(ctx context.Context) (connector.Position, error) {
	if t.Decision == nil {
		return connector.Position{}, nil
	}
	if t.Decision.Cursor != nil {
		return connector.Position{Cursor: t.Decision.Cursor}, nil
	}
	items, err := t.seenItems(ctx)
	return connector.Position{Items: items}, err
}

func (t *Table) seenItems(ctx context.Context) (map[string]connector.Item, error) {
	seen := map[string]connector.Item{}
	learn := func(items []connector.Item) {
		for _, it := range items {
			if _, newer := seen[it.Key]; !newer {
				seen[it.Key] = it
			}
		}
	}
	var older []Segment
	err := t.back(ctx, func(d *Decision) bool {
		learn(d.Items)
		older = d.Older
		return d.Depth > 0
	})
	if err != nil {
		return nil, err
	}
	for _, s := range older {
		items, err := t.segment(ctx, s)
		if err != nil {
			return nil, err
		}
		learn(items)
	}
	return seen, nil
}

// segment reads a segment. One that is gone or changed is a SourceLost fault: files would be taken in again.
func (t *Table) segment(ctx context.Context, s Segment) ([]connector.Item, error) {
	key := t.Delta.Prefix() + "/" + s.Key
	raw, err := store.ReadAll(ctx, t.lake.Store, key, maxDocument)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	var items []connector.Item
	if err == nil && hex.EncodeToString(sum[:]) == s.SHA256 {
		err = json.Unmarshal(raw, &items)
	} else if err == nil {
		err = errors.New("its content is not what it was")
	}
	if err != nil {
		return nil, fault.New(fault.SourceLost, "read", key, "the list of files taken in: %w", err).
			WithHint("restore the file from a backup, or rebuild the table from its source")
	}
	return slices.Clip(items), nil
}
