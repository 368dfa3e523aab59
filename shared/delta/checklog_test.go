package delta_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store"
	localfile "github.com/lakestep/lakestep/shared/store/file"
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
		{"commits are missing before a foreign file", func(s store.Store) error {
			return s.Put(ctx, at+commitFile(math.MaxInt64), strings.NewReader("{}"), store.PutOptions{})
		}, []string{commitFile(6) + ": commits 6 to 9223372036854775806 are missing"}},
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
		{"a commit adds and removes", func(s store.Store) error {
			return s.Put(ctx, at+commitFile(6), strings.NewReader(`{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}`+"\n"+
				`{"remove":{"path":"x","dataChange":true}}`), store.PutOptions{})
		}, []string{commitFile(6) + ": adds and removes \"x\""}},
		{"a commit removes and sets twice", func(s store.Store) error {
			remove, txn, domain := `{"remove":{"path":"f0","dataChange":true}}`, `{"txn":{"appId":"a","version":1}}`, `{"domainMetadata":{"domain":"d","configuration":"","removed":false}}`
			return s.Put(ctx, at+commitFile(6), strings.NewReader(strings.Join([]string{remove, txn, domain, remove, txn, domain}, "\n")), store.PutOptions{})
		}, []string{commitFile(6) + ": removes \"f0\" twice", commitFile(6) + ": transaction of \"a\" twice", commitFile(6) + ": domain \"d\" twice"}},
		{"the first commits are missing, and no checkpoint has them", func(s store.Store) error {
			return errors.Join(s.Delete(ctx, at+commitFile(0)), s.Delete(ctx, at+commitFile(1)), s.Delete(ctx, at+"_last_checkpoint"),
				s.Delete(ctx, at+fmt.Sprintf("%020d.checkpoint.parquet", 3)))
		}, []string{commitFile(0) + ": commits 0 to 1 are missing"}},
		{"a checkpoint is cut off", func(s store.Store) error {
			return s.Put(ctx, at+fmt.Sprintf("%020d.checkpoint.parquet", 3), bytes.NewReader([]byte("PAR1")), store.PutOptions{})
		}, []string{".checkpoint.parquet: "}},
		{"a checkpoint says something else", func(s store.Store) error {
			add := `{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}` + "\n"
			return s.Put(ctx, at+commitFile(1), strings.NewReader(add), store.PutOptions{})
		}, []string{".checkpoint.parquet: its files"}},
		{"a checkpoint has another property", again(0, `"delta.checkpointInterval":"3"`, `"delta.checkpointInterval":"4"`), []string{".checkpoint.parquet: its metadata"}},
		{"a checkpoint has another protocol", again(0, `"minWriterVersion":2`, `"minWriterVersion":3`), []string{".checkpoint.parquet: its protocol"}},
		{"a checkpoint has another size of a file", again(1, `"size":100`, `"size":101`), []string{".checkpoint.parquet: its files"}},
		{"a checkpoint has another transaction", again(3, `"appId":"app","version":2`, `"appId":"app","version":1`), []string{".checkpoint.parquet: its transactions"}},
		{"a schema with other white space", again(0, `\"type\":\"struct\"`, `\"type\" : \"struct\"`), nil},
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
				_, err := latest(t, table).Begin(delta.Operation{Name: "WRITE"}).Add(file(fmt.Sprintf("f%d", i))).SetTxn("app", int64(i)).Commit(ctx)
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

// again changes a text in a commit.
func again(version int64, old, new string) func(store.Store) error {
	return func(s store.Store) error {
		key := "silver/orders/_delta_log/" + commitFile(version)
		text, err := store.ReadAll(context.Background(), s, key, 1<<20)
		if err != nil {
			return err
		}
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			return fmt.Errorf("no %s in %s", old, text)
		}
		return s.Put(context.Background(), key, strings.NewReader(changed), store.PutOptions{})
	}
}

// The logs that other engines wrote are sound, with the checkpoints of any kind that they left. (Of delta-golden some are damaged.)
func TestCheckLogCorpus(t *testing.T) {
	root := sharedFolder(t, "corpus/delta")
	lake, err := localfile.New(root)
	must(t, err)
	checked := 0
	for _, source := range []string{"dat", "spark-gen", "kernel-rs", "delta-rs", "delta-spark", "delta-kernel"} {
		folders, err := filepath.Glob(filepath.Join(root, source, "*", "_delta_log"))
		must(t, err)
		for _, folder := range folders {
			name := source + "/" + filepath.Base(filepath.Dir(folder))
			found, err := delta.Open(lake, name, delta.Options{}).CheckLog(t.Context())
			if errors.Is(err, delta.ErrNoTable) {
				continue // kernel-rs/crc-malformed has no commits
			}
			if checked++; err != nil || len(found) > 0 {
				t.Errorf("%s: %+v, %v", name, found, err)
			}
		}
	}
	if t.Logf("%d logs", checked); checked < 50 {
		t.Error("too few were checked")
	}
}

func commitFile(v int64) string { return fmt.Sprintf("%020d.json", v) }
