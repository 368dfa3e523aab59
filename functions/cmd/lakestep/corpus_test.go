package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type corpusTable struct {
	Table          string   `json:"table"`
	ReaderFeatures []string `json:"reader_features"`
	ExpectedState  string   `json:"expected_state"`
	Expected       struct {
		Verdict      string `json:"verdict"`
		DataReadable bool   `json:"data_readable"`
		Version      *int64 `json:"version"`
		RowCount     *int   `json:"row_count"`
		NumFiles     *int   `json:"num_files"`
		Rows         []any  `json:"rows"`
	} `json:"expected"`
}

// TestCorpus holds `table state` of every table of the Delta corpus against what Spark (or delta-rs) found in it: version, protocol, metadata,
// files, transactions, domains and rows. It prints the score and names the tables that were refused.
func TestCorpus(t *testing.T) {
	corpus := corpusFolder(t)
	raw, err := os.ReadFile(filepath.Join(corpus, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Tables []corpusTable }
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	t.Chdir(corpus)
	right, refused := 0, 0
	for _, want := range manifest.Tables {
		t.Run(want.Table, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"table", "state", want.Table}, &stdout, &stderr)
			if err := want.check(code, stdout.Bytes(), stderr.String()); err != nil {
				t.Error(err)
				return
			}
			right++
			if code == exitRefused {
				refused++
			}
			if stderr.Len() > 0 {
				t.Logf("%s: %s", want.Expected.Verdict, strings.TrimSpace(stderr.String()))
			}
		})
	}
	t.Logf("SCORE: Delta corpus: %d right of %d, of which %d were refused, each by name", right, len(manifest.Tables), refused)
}

// corpusFolder is where other engines' tables are, beside the checkout.
func corpusFolder(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../../../shared/corpus/delta")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("SKIPPED: no corpus of Delta tables at ../shared/corpus/delta")
	}
	return folder
}

// TestDamagedDataFile spoils a data file at one place after another: the table is refused with the file's name, or the damage is one that
// nobody can see (Parquet without checksums), and the document is whole.
func TestDamagedDataFile(t *testing.T) {
	table := filepath.Join(t.TempDir(), "t")
	if err := os.CopyFS(table, os.DirFS(filepath.Join(corpusFolder(t), "dat/all_primitive_types"))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(table, "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := 0; at+8 <= len(whole); at += 61 {
		spoiled := slices.Clone(whole)
		for i := range spoiled[at : at+8] {
			spoiled[at+i] ^= 0x5a
		}
		if err := os.WriteFile(files[0], spoiled, 0o644); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		switch code := run(t.Context(), []string{"table", "state", table}, &stdout, &stderr); {
		case code == exitRefused && stdout.Len() == 0 && strings.Contains(stderr.String(), filepath.Base(files[0])):
			refused++
		case code != 0 || !json.Valid(stdout.Bytes()):
			t.Errorf("offset %d: exit code %d: %s", at, code, stderr.String())
		}
	}
	t.Logf("%d of %d spoiled files were refused", refused, len(whole)/61)
}

func (c corpusTable) check(code int, stdout []byte, stderr string) error {
	e := c.Expected
	refused := code == exitRefused && len(stdout) == 0 && strings.Count(stderr, "\n") == 1 && strings.HasPrefix(stderr, "refused: "+c.Table+": ")
	if !refused && code != 0 {
		return fmt.Errorf("exit code %d: %s", code, stderr)
	}
	switch {
	case e.Verdict == "must_refuse" && !refused:
		return errors.New("it was read, but must be refused")
	case e.Verdict == "must_refuse", e.Verdict == "implementation_defined" && refused:
		return nil
	case refused: // also with features: each of those that the corpus has is read
		return errors.New(stderr)
	}
	var got map[string]any
	if err := exactJSON(stdout, &got); err != nil {
		return err
	}
	rows, whole := got["rows"].([]any)
	switch {
	case e.DataReadable && !whole:
		return fmt.Errorf("no rows: %s", stderr)
	case !whole && !strings.HasPrefix(stderr, "without rows: "+c.Table+": "):
		return fmt.Errorf("no rows, and no word of it: %q", stderr)
	case whole && e.RowCount != nil && len(rows) != *e.RowCount:
		return fmt.Errorf("%d rows, want %d", len(rows), *e.RowCount)
	}
	return errors.Join(c.checkManifest(got, rows), c.checkState(got))
}

// checkManifest is for tables of which Spark gave no state.
func (c corpusTable) checkManifest(got map[string]any, rows []any) error {
	e := c.Expected
	if e.Version != nil && fmt.Sprint(got["version"]) != fmt.Sprint(*e.Version) {
		return fmt.Errorf("version %v, want %d", got["version"], *e.Version)
	}
	if files, _ := got["files"].([]any); e.NumFiles != nil && len(files) != *e.NumFiles {
		return fmt.Errorf("%d files, want %d", len(files), *e.NumFiles)
	}
	if e.Rows == nil {
		return nil
	}
	texts := func(rows []any) (out []string) {
		for _, r := range rows {
			text, _ := json.Marshal(r) // keys sorted
			out = append(out, string(text))
		}
		slices.Sort(out)
		return out
	}
	if d := cmp.Diff(texts(e.Rows), texts(rows)); d != "" {
		return fmt.Errorf("rows (-want +got):\n%s", d)
	}
	return nil
}

func (c corpusTable) checkState(got map[string]any) error {
	if c.ExpectedState == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.FromSlash(c.ExpectedState))
	if err != nil {
		return err
	}
	var want map[string]any
	if err := exactJSON(raw, &want); err != nil {
		return err
	}
	if _, given := want["rows"]; !given { // Spark could not read them, or they were too many
		delete(got, "rows")
	}
	sortFeatures(want)
	sortFeatures(got)
	if d := cmp.Diff(want, got); d != "" {
		return fmt.Errorf("state (-want +got):\n%s", d)
	}
	return nil
}

// sortFeatures makes the lists of features comparable: their order means nothing.
func sortFeatures(state map[string]any) {
	protocol, _ := state["protocol"].(map[string]any)
	for _, v := range protocol {
		if list, ok := v.([]any); ok {
			slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
}

// exactJSON keeps numbers as they are written.
func exactJSON(b []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(out)
}

// TestCheckCorpus: what other engines wrote is checked through the command line, their checksum files with it.
func TestCheckCorpus(t *testing.T) {
	folder := corpusFolder(t)
	for _, tt := range []struct {
		table, want string // of the findings
		code        int
		others      string // what no finding may say
	}{
		{"crafted/crc-wrong-counts", "the checksum file is wrong: numFiles is 7, and 2 by the log", exitDamaged, ""},
		{"spark-gen/dv_then_purge", "no damage", 0, ""},
		// Whoever made it added ts_col to the log of another table, with statistics, and not to the files; and wrote its checkpoint's schema
		// with other white space, which is nothing.
		{"kernel-rs/parsed-stats", "0 NULLs in column ts_col: not true of 100 of its rows", exitDamaged, "_delta_log"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"table", "check", "--deep", filepath.Join(folder, tt.table)}, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.want) || tt.others != "" && strings.Contains(stdout.String(), tt.others) {
			t.Errorf("%s: exit code %d\n%s%s", tt.table, code, stdout.String(), stderr.String())
		}
	}
}
