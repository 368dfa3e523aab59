package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lakestep": main})
}

// Each testdata/script/*.txtar is a session at the command line. It begins in a folder with config/retail and events/ as they are in the
// tree, and landing/retail with four orders (testdata/landing); more/ holds files to land later. Besides testscript's own commands there are
//
//	lake CODE ARGS...          runs lakestep and wants the exit code
//	edit FILE OLD NEW          replaces the only OLD in a file
//	land FILE PATH             copies a file to landing/retail/PATH
//	onlyjson                   the last stdout is one JSON document, the last stderr empty
//	keep NAME FOLDER           remembers the folder's files and their content; a folder that is not there has none
//	same NAME FOLDER           wants them as they were kept
//	nowhere TEXT FOLDER        wants that no file of the folder holds the text
//	holds TEXT FOLDER          wants that some file does
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	kept := kept{}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for from, to := range map[string]string{
				filepath.Join(root, "config"): "config", filepath.Join(root, "events"): "events",
				filepath.Join(here, "testdata/landing"): "landing/retail", filepath.Join(here, "testdata/more"): "more",
			} {
				if err := os.CopyFS(filepath.Join(e.WorkDir, to), os.DirFS(from)); err != nil {
					return err
				}
			}
			e.Values[keptKey{}] = kept
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lake": scriptLake, "edit": scriptEdit, "land": scriptLand, "onlyjson": scriptOnlyJSON,
			"keep": scriptKeep, "same": scriptSame, "nowhere": scriptNowhere, "holds": scriptHolds,
		},
	})
}

// kept are the states of folders by script and name.
type (
	kept    map[string]map[string]string
	keptKey struct{}
)

func want(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

func scriptLake(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "lake CODE ARGS...")
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("lakestep", args[1:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	for _, text := range []string{ts.ReadFile("stdout"), ts.ReadFile("stderr")} {
		if strings.Contains(text, "panic:") || strings.Contains(text, "%!") || strings.Contains(text, "failed to") {
			ts.Fatalf("no message for people: %s", text)
		}
		if strings.Contains(text, "\x1b") {
			ts.Fatalf("escape sequences without a terminal: %q", text)
		}
	}
	if got != code {
		ts.Fatalf("exit code %d, want %d", got, code)
	}
}

func scriptEdit(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3, "edit FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if strings.Count(text, args[1]) != 1 {
		ts.Fatalf("%s has %q %d times", args[0], args[1], strings.Count(text, args[1]))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o644))
}

func scriptLand(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "land FILE PATH")
	to := ts.MkAbs(filepath.Join("landing/retail", args[1]))
	ts.Check(os.MkdirAll(filepath.Dir(to), 0o755))
	ts.Check(os.WriteFile(to, []byte(ts.ReadFile(args[0])), 0o644))
}

func scriptOnlyJSON(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "onlyjson")
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var doc any
	if err := dec.Decode(&doc); err != nil {
		ts.Fatalf("stdout is no JSON: %v\n%s", err, ts.ReadFile("stdout"))
	}
	if err := dec.Decode(&doc); !errors.Is(err, io.EOF) {
		ts.Fatalf("something follows the JSON document: %v", err)
	}
	if text := ts.ReadFile("stderr"); text != "" {
		ts.Fatalf("stderr is not empty: %s", text)
	}
}

// contents gives a folder's files, empty folders too, with the digests of their content.
func contents(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[p] = "folder"
			if errors.Is(err, fs.ErrNotExist) && p == dir {
				delete(all, p)
				return nil
			}
			return err
		}
		body, err := os.ReadFile(p)
		all[p] = fmt.Sprintf("%x", sha256.Sum256(body))
		return err
	})
	return all, err
}

func scriptKeep(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "keep NAME FOLDER")
	all, err := contents(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Value(keptKey{}).(kept)[ts.Name()+"/"+args[0]] = all
}

func scriptSame(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "same NAME FOLDER")
	before, ok := ts.Value(keptKey{}).(kept)[ts.Name()+"/"+args[0]]
	if !ok {
		ts.Fatalf("nothing was kept as %s", args[0])
	}
	after, err := contents(ts.MkAbs(args[1]))
	ts.Check(err)
	var changed []string
	for p := range after {
		if before[p] != after[p] {
			changed = append(changed, p)
		}
	}
	for p := range before {
		if _, ok := after[p]; !ok {
			changed = append(changed, p)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		ts.Fatalf("changed: %s", strings.Join(changed, "\n"))
	}
}

func scriptNowhere(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "nowhere TEXT FOLDER")
	if p := find(ts, args[0], args[1]); p != "" {
		ts.Fatalf("%s holds %q", p, args[0])
	}
}

func scriptHolds(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "holds TEXT FOLDER")
	if find(ts, args[0], args[1]) == "" {
		ts.Fatalf("no file of %s holds %q", args[1], args[0])
	}
}

func find(ts *testscript.TestScript, text, dir string) (found string) {
	err := filepath.WalkDir(ts.MkAbs(dir), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(p)
		if bytes.Contains(body, []byte(text)) {
			found = p
		}
		return err
	})
	ts.Check(err)
	return found
}

// Every sample event has its line in the script of events.
func TestEveryEventIsTried(t *testing.T) {
	script, err := os.ReadFile("testdata/script/event.txtar")
	if err != nil {
		t.Fatal(err)
	}
	events, err := filepath.Glob("../../../events/*.json")
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	for _, e := range events {
		if name := "events/" + filepath.Base(e); !strings.Contains(string(script), "--event "+name) {
			t.Errorf("testdata/script/event.txtar lacks %s", name)
		}
	}
}
