package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/tools/oracle"
)

// TestOddTables lets Spark make the tables of testdata/odd.sql and holds `table state` of every version against what Spark reads.
func TestOddTables(t *testing.T) {
	if os.Getenv("LAKESTEP_LONG") == "" {
		t.Skip("SKIPPED: LAKESTEP_LONG is not set")
	}
	spark := oracle.Spark(t, os.Getenv("LAKESTEP_TEST_SPARK"))
	raw, err := os.ReadFile("testdata/odd.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, section := range strings.Split(string(raw), "\n--- ")[1:] {
		name, statements, _ := strings.Cut(section, "\n")
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), fmt.Sprintf("t%d", i))
			for statement := range strings.Lines(statements) {
				if statement = strings.TrimSpace(statement); statement == "" {
					continue
				}
				if err := spark.Call("sql", map[string]any{"text": strings.ReplaceAll(statement, "{t}", "delta.`"+path+"`")}, nil); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			if feature, refused := strings.CutPrefix(name, "refused: "); refused {
				var stdout, stderr bytes.Buffer
				code := run(t.Context(), []string{"table", "state", path}, &stdout, &stderr)
				if code != exitRefused || stdout.Len() > 0 || !strings.Contains(stderr.String(), feature) {
					t.Errorf("exit code %d: %s", code, stderr.String())
				}
				return
			}
			var last int
			if err := spark.Call("version", map[string]any{"path": path}, &last); err != nil {
				t.Fatal(err)
			}
			for v := range last + 1 {
				var want [][]string
				if err := spark.Call("read", map[string]any{"path": path, "versions": []int{v}}, &want); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(sortedKeys(t, want[0]), stateRows(t, path, v)); d != "" {
					t.Errorf("version %d (-Spark +lakestep):\n%s", v, d)
				}
			}
			t.Logf("%d versions", last+1)
		})
	}
}

// stateRows are the rows of `table state` as texts.
func stateRows(t *testing.T, path string, version int) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"table", "state", path, "--version", fmt.Sprint(version)}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("version %d: exit code %d: %s", version, code, stderr.String())
	}
	var state struct{ Rows []json.RawMessage }
	if err := json.Unmarshal(stdout.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(state.Rows))
	for i, r := range state.Rows {
		texts[i] = string(r)
	}
	return sortedKeys(t, texts)
}

// sortedKeys gives JSON texts with the keys of objects sorted and numbers as doubles, in the texts' order.
func sortedKeys(t *testing.T, texts []string) []string {
	t.Helper()
	out := make([]string, len(texts))
	for i, text := range texts {
		var v any
		if err := exactJSON([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(sorted)
	}
	slices.Sort(out)
	return out
}
