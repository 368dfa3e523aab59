package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// A deadline may pass at any moment of a write: whichever it is, the step is worth repeating.
func TestDeadlineInAWrite(t *testing.T) {
	r := newRig(t, engine.Options{})
	target := engine.Target{Store: r.store, Table: r.table, Schema: delta.Schema{Fields: []delta.Field{{Name: "n", Type: delta.Long}}}, Now: now()}
	write := func(ctx context.Context) error {
		target.Attempt++
		_, err := r.Write(ctx, target, "SELECT range n FROM range(1000)")
		return err
	}
	must(t, write(t.Context()))
	start := time.Now()
	must(t, write(t.Context()))
	whole := time.Since(start)
	for i := range 400 {
		ctx, cancel := context.WithTimeout(t.Context(), whole*time.Duration(i)/300)
		err := write(ctx)
		cancel()
		if kind := fault.KindOf(err); err != nil && kind != fault.Unavailable {
			t.Errorf("after %d/300 of %s: %s, %v", i, whole, kind, err)
		}
	}
}
