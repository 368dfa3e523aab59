package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

const retailDir = "../../config/retail"

func retail(t testing.TB) pipeline.Bundle {
	b, err := pipeline.ReadBundle(retailDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadBundleTakesNamedFilesOnly(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "pipeline.yaml", "silver:\n  a: { model: silver/a.sql }\n  b: { model: silver/missing.sql }\ngold:\n  g: { model: silver/a.sql, contract: c.json }\n")
	write(t, dir, "silver/a.sql", "SELECT 1")
	write(t, dir, "c.json", "{}")
	write(t, dir, "silver/other.sql", "SELECT 2")
	b, err := pipeline.ReadBundle(dir, map[string]string{"k": "v"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"silver/a.sql": "SELECT 1", "c.json": "{}", "pipeline.yaml": b.Files["pipeline.yaml"]}
	if diff := cmp.Diff(want, b.Files); diff != "" || b.Vars["k"] != "v" || b.Root != "pipeline.yaml" {
		t.Error(diff, b.Vars, b.Root)
	}
}

func TestReadBundleStaysInItsFolder(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "secret.sql", "SELECT 'secret'")
	for name, prepare := range map[string]func(dir string){
		"link to a file outside":   func(dir string) { link(t, filepath.Join(outside, "secret.sql"), filepath.Join(dir, "m.sql")) },
		"a folder in place of it":  func(dir string) { write(t, dir, "m.sql/x", "") },
		"a file that is too large": func(dir string) { write(t, dir, "m.sql", strings.Repeat("-", 2<<20)) },
		"a file that is no text":   func(dir string) { write(t, dir, "m.sql", "\xff\xfe") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "pipeline.yaml", "silver: { a: { model: m.sql } }\n")
			prepare(dir)
			_, err := pipeline.ReadBundle(dir, nil)
			if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a path that leads out", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "pipeline.yaml", "silver: { a: { model: ../"+filepath.Base(outside)+"/secret.sql } }\n")
		b, err := pipeline.ReadBundle(dir, nil)
		if err != nil || len(b.Files) != 1 {
			t.Fatalf("read %d files, %v", len(b.Files), err)
		}
		if _, err := pipeline.Load(b); err == nil || !strings.Contains(err.Error(), "not inside the pipeline's folder") {
			t.Error(err)
		}
	})
	if _, err := pipeline.ReadBundle(filepath.Join(outside, "nowhere"), nil); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

// Equal bundles have equal digests, others have others, and what is decoded is what was encoded.
func TestBundleRoundTrip(t *testing.T) {
	texts := rapid.MapOf(rapid.String(), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		a := pipeline.Bundle{Root: rapid.String().Draw(t, "root"), Files: texts.Draw(t, "files")}
		if vars := texts.Draw(t, "vars"); len(vars) > 0 {
			a.Vars = vars
		}
		b, err := pipeline.DecodeBundle(a.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatal(diff)
		}
		if a.Digest() != b.Digest() || len(a.Digest()) != 64 {
			t.Fatal("digests differ")
		}
		b.Files[rapid.String().Draw(t, "path")] += "x"
		if a.Digest() == b.Digest() {
			t.Fatal("different bundles with one digest")
		}
	})
}

func TestDecodeBundleRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", `{"root":"x","more":1}`, `{"root":"x"} {}`} {
		if _, err := pipeline.DecodeBundle([]byte(text)); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%q: %v", text, err)
		}
	}
}
