package pipeline_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/cases"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

var update = flag.Bool("update", false, "write what Load says into testdata/*.txt; read the diff before you commit it")

// TestProblems runs the cases of testdata/*.txt. A case is
//
//	=== its name
//	pipeline.yaml
//	--- silver/x.sql     (any number of further files; those of testdata/base are there unless a case replaces them)
//	--- vars             (overrides, one k=v a line)
//	--- want
//	the problems, one a line, in order; none when it loads
func TestProblems(t *testing.T) {
	cases.Run(t, "testdata/*.txt", *update, func(t *testing.T, c cases.Case) string {
		b := pipeline.Bundle{Root: pipeline.RootFile, Files: baseFiles(t), Vars: map[string]string{}}
		b.Files[pipeline.RootFile] = c.First + "\n"
		for name, body := range c.Sections {
			if name != "vars" {
				b.Files[name] = body + "\n"
				continue
			}
			for _, line := range strings.Fields(body) {
				k, v, _ := strings.Cut(line, "=")
				b.Vars[k] = v
			}
		}
		_, err := pipeline.Load(b)
		if err == nil {
			return ""
		}
		if fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("kind %s", fault.KindOf(err))
		}
		return strings.TrimPrefix(err.Error(), "load pipeline: ")
	})
}

func baseFiles(t testing.TB) map[string]string {
	files := map[string]string{}
	for _, pattern := range []string{"*/*.sql", "*/*.json"} {
		names, err := filepath.Glob("testdata/base/" + pattern)
		if err != nil || len(names) == 0 {
			t.Fatal("no testdata/base/"+pattern, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[strings.TrimPrefix(filepath.ToSlash(name), "testdata/base/")] = string(data)
		}
	}
	return files
}
