package delta_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// Each damage of a log is found, by name, and a sound log has none.
func TestCheckLog(t *testing.T) {
	ctx := context.Background()
	const at = "silver/orders/_delta_log/"
	for _, tt := range []struct {
		name  string
		spoil func(s store.Store) error
		want  []string // "object: part of what", in order
	}{
		{"a sound log", func(store.Store) error { return nil }, nil},
		{"a commit is missing", func(s store.Store) error { return s.Delete(ctx, at+commitFile(2)) }, []string{commitFile(2) + ": missing"}},
		{"the newest commit is missing: nothing tells", func(s store.Store) error { return s.Delete(ctx, at+commitFile(5)) }, nil},
		{"commits before the checkpoint were cleaned up", func(s store.Store) error {
			for v := range int64(3) {
				if err := s.Delete(ctx, at+commitFile(v)); err != nil {
					return err
				}
			}
			return nil
		}, nil},
		{"a commit is cut off", func(s store.Store) error {
			return s.Put(ctx, at+commitFile(4), strings.NewReader(`{"add":{"path":"x`), store.PutOptions{})
		}, []string{commitFile(4) + ": "}},
		{"a commit adds twice", func(s store.Store) error {
			add := `{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}` + "\n"
			return s.Put(ctx, at+commitFile(6), strings.NewReader(add+add), store.PutOptions{})
		}, []string{commitFile(6) + ": adds \"x\" twice"}},
		{"a checkpoint is cut off", func(s store.Store) error {
			return s.Put(ctx, at+fmt.Sprintf("%020d.checkpoint.parquet", 3), bytes.NewReader([]byte("PAR1")), store.PutOptions{})
		}, []string{".checkpoint.parquet: "}},
		{"a checkpoint says something else", func(s store.Store) error {
			add := `{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}` + "\n"
			return s.Put(ctx, at+commitFile(1), strings.NewReader(add), store.PutOptions{})
		}, []string{".checkpoint.parquet: its files"}},
		{"the hint dangles", func(s store.Store) error {
			return s.Put(ctx, at+"_last_checkpoint", strings.NewReader(`{"version":4,"size":3}`), store.PutOptions{})
		}, []string{"_last_checkpoint: version 4"}},
		{"the hint is cut off", func(s store.Store) error {
			return s.Put(ctx, at+"_last_checkpoint", strings.NewReader(`{"vers`), store.PutOptions{})
		}, []string{"_last_checkpoint: damaged"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lake := mem.New()
			table := newTable(t, lake, map[string]string{"delta.checkpointInterval": "3"})
			for i := range 5 {
				_, err := latest(t, table).Begin(delta.Operation{Name: "WRITE"}).Add(file(fmt.Sprintf("f%d", i))).Commit(ctx)
				must(t, err)
			}
			must(t, tt.spoil(lake))
			found, err := table.CheckLog(ctx)
			must(t, err)
			if len(found) != len(tt.want) {
				t.Fatalf("found %q, want %q", found, tt.want)
			}
			for i, w := range tt.want {
				object, what, _ := strings.Cut(w, ": ")
				if !strings.HasSuffix(found[i].Object, object) || !strings.Contains(found[i].What, what) || found[i].Hint == "" {
					t.Errorf("found %q, want %q", found[i], w)
				}
			}
		})
	}
}

func commitFile(v int64) string { return fmt.Sprintf("%020d.json", v) }
