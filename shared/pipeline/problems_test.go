package pipeline_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases := strings.Split(string(data), "=== ")
		for i, text := range cases[1:] {
			name, _, _ := strings.Cut(text, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				cases[i+1] = problemCase(t, text)
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(cases, "=== ")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// problemCase checks one case and gives it back as it would be right.
func problemCase(t *testing.T, text string) string {
	parts := strings.Split(text, "\n--- ")
	_, root, _ := strings.Cut(parts[0], "\n")
	b := pipeline.Bundle{Root: pipeline.RootFile, Files: baseFiles(t), Vars: map[string]string{}}
	b.Files[pipeline.RootFile] = root + "\n"
	want, found := "", false
	for _, part := range parts[1:] {
		name, body, _ := strings.Cut(part, "\n")
		switch name {
		case "want":
			want, found = strings.TrimSpace(body), true
		case "vars":
			for _, line := range strings.Fields(body) {
				k, v, _ := strings.Cut(line, "=")
				b.Vars[k] = v
			}
		default:
			b.Files[name] = body + "\n"
		}
	}
	if !found {
		t.Fatal("the case has no --- want")
	}
	_, err := pipeline.Load(b)
	got := ""
	if err != nil {
		if fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("kind %s", fault.KindOf(err))
		}
		got = strings.TrimPrefix(err.Error(), "load pipeline: ")
	}
	if diff := cmp.Diff(want, got); diff != "" && !*update {
		t.Errorf("want -, got +\n%s", diff)
	}
	head, _, _ := strings.Cut(text, "\n--- want")
	return strings.TrimRight(head+"\n--- want\n"+got, "\n") + "\n\n"
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
