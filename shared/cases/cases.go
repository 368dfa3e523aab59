// Package cases runs test cases that people write by hand, in text files:
//
//	=== the case's name
//	its first section
//	--- name of another section
//	...
//	--- want
//	what must come out
//
// A package's test says what the sections mean; -update of its own writes what came out into the files, to be read before it is committed.
package cases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Case is one case, without what it wants.
type Case struct {
	First    string            // the section without a name
	Sections map[string]string // the others, without the line break at their end
}

const (
	begin   = "=== "
	section = "\n--- "
	wanted  = section + "want"
)

// Run gives each case of the files that a pattern names to outcome, and holds what it answers against what the case wants, blanks at both
// ends aside. With update it writes the answer into the file instead.
func Run(t *testing.T, pattern string, update bool, outcome func(t *testing.T, c Case) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := strings.Split(string(data), begin)
		for i, text := range texts[1:] {
			name, _, _ := strings.Cut(text, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				head, want, found := strings.Cut(text, wanted)
				if !found {
					t.Fatal("the case has no --- want")
				}
				got := strings.TrimSpace(outcome(t, parse(head)))
				if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" && !update {
					t.Errorf("want -, got +\n%s", diff)
				}
				texts[i+1] = strings.TrimRight(head+wanted+"\n"+got, "\n") + "\n\n"
			})
		}
		if update {
			if err := os.WriteFile(file, []byte(strings.Join(texts, begin)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// parse splits a case's text at its sections.
func parse(text string) Case {
	parts := strings.Split(text, section)
	_, first, _ := strings.Cut(parts[0], "\n")
	c := Case{First: first, Sections: map[string]string{}}
	for _, part := range parts[1:] {
		name, body, _ := strings.Cut(part, "\n")
		c.Sections[name] = strings.TrimRight(body, "\n")
	}
	return c
}
