package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Names of files and folders are names: neither patterns of DuckDB's nor Hive's column=value.
func TestFileNamesAreNames(t *testing.T) {
	ctx := context.Background()
	e, err := Open(Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := e.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := filepath.Join(t.TempDir(), "id=9")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"csv", "parquet"} {
		var paths []string
		for i, name := range []string{"a1.", "a[1].", "x*.", "xa.", "q?.", "qq.", "it's.", "é.", "z.gz."} {
			p := filepath.Join(dir, name+kind)
			paths = append(paths, p)
			if err := s.Exec(ctx, fmt.Sprintf("COPY (SELECT '%d' AS id) TO %s (FORMAT %s)", i, Literal(p), kind)); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range paths { // each alone, while its look-alikes lie beside it
			relation, _ := s.CSV(CSV{Paths: []string{p}, Columns: []string{"id"}, Header: true})
			if kind == "parquet" {
				relation = parquet([]string{p})
			}
			rows, err := s.Strings(ctx, "SELECT id FROM "+relation)
			if err != nil {
				t.Fatal(err)
			}
			if want := [][]string{{fmt.Sprint(i)}}; !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
				t.Errorf("%s: %q, want %q", p, rows, want)
			}
		}
	}
}
