package delta_test

import (
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func TestFilePath(t *testing.T) {
	table := delta.Open(mem.New(), "silver/t", delta.Options{})
	for path, want := range map[string]string{
		"part-0.parquet":               "silver/t/part-0.parquet",
		"p=a%252Fb/x.parquet":          "silver/t/p=a%2Fb/x.parquet", // decoded once, not twice
		"p=a%20b/x.parquet":            "silver/t/p=a b/x.parquet",
		"p=日本/x.parquet":               "silver/t/p=日本/x.parquet",
		"p=%e6%97%a5/x.parquet":        "silver/t/p=日/x.parquet",
		"p=2020-01-01 03:06/x.parquet": "silver/t/p=2020-01-01 03:06/x.parquet", // raw characters are forgiven
		"a+b.parquet":                  "silver/t/a+b.parquet",
	} {
		if got, err := table.FilePath(delta.Add{Path: path}); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", path, got, err, want)
		}
	}
	for _, path := range []string{
		"", "/abs", "//host/x", "s3://bucket/x", "file:/x", "a/../../x", "..", "%2E%2E/x", "a/%2e%2e/x", "a//b", "a/./b", "%2Fabs",
		"bad%", "bad%2", "bad%zz", "zero%00byte", "a%2F..%2F..%2Fx",
	} {
		if got, err := table.FilePath(delta.Add{Path: path}); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%q: %q %v", path, got, err)
		}
	}
}

// FuzzPath: what EncodePath writes, FilePath reads back; whatever FilePath accepts stays below the table.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b.parquet", "p=a%2Fb/x", "..", "%2e%2e/x", "a b#?%", "日本", "s3://x", "c:d"} {
		f.Add(s)
	}
	table := delta.Open(mem.New(), "t", delta.Options{})
	f.Fuzz(func(t *testing.T, s string) {
		if key, err := table.FilePath(delta.Add{Path: s}); err == nil {
			rel, ok := strings.CutPrefix(key, "t/")
			if !ok || rel == "" || strings.Contains("/"+rel+"/", "/../") || strings.Contains("/"+rel+"/", "//") {
				t.Fatalf("%q leads to %q", s, key)
			}
			again, err := table.FilePath(delta.Add{Path: delta.EncodePath(rel)})
			if err != nil || again != key {
				t.Fatalf("%q encodes to %q, which leads to %q, %v", rel, delta.EncodePath(rel), again, err)
			}
		}
	})
}

// Absolute paths are read where the composition root knows the store's key for them, and nowhere else.
func TestResolvedPaths(t *testing.T) {
	table := delta.Open(mem.New(), "clone", delta.Options{Resolve: func(uri string) (string, bool) {
		return strings.CutPrefix(uri, "s3://lake/")
	}})
	if key, err := table.FilePath(delta.Add{Path: "s3://lake/t/x.parquet"}); key != "t/x.parquet" || err != nil {
		t.Errorf("%q, %v", key, err)
	}
	if key, err := table.FilePath(delta.Add{Path: "s3://other/t/x.parquet"}); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("%q, %v", key, err)
	}
	if key, err := table.FilePath(delta.Add{Path: "t/x.parquet"}); key != "clone/t/x.parquet" || err != nil {
		t.Errorf("%q, %v", key, err)
	}
}
