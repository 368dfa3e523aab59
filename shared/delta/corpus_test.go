package delta_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	localfile "github.com/lakestep/lakestep/shared/store/file"
)

type corpusTable struct {
	Table          string   `json:"table"`
	ReaderFeatures []string `json:"reader_features"`
	ExpectedState  string   `json:"expected_state"`
	Expected       struct {
		Verdict        string          `json:"verdict"`
		Version        *int64          `json:"version"`
		NumFiles       *int            `json:"num_files"`
		Schema         json.RawMessage `json:"schema"`
		Partition      []string        `json:"partition_columns"`
		Protocol       json.RawMessage `json:"protocol"`
		FilesAtVersion map[string]*int `json:"files_at_version"`
		RefuseAt       string          `json:"refuse_at"`
	} `json:"expected"`
}

type expectedState struct {
	Protocol json.RawMessage `json:"protocol"`
	Metadata struct {
		ID               string            `json:"id"`
		Name             *string           `json:"name"`
		Description      *string           `json:"description"`
		PartitionColumns []string          `json:"partitionColumns"`
		Configuration    map[string]string `json:"configuration"`
		CreatedTime      *int64            `json:"createdTime"`
		SchemaString     *string           `json:"schemaString"`
	} `json:"metadata"`
	Files []struct {
		Path                    string             `json:"path"`
		Size                    int64              `json:"size"`
		PartitionValues         map[string]*string `json:"partitionValues"`
		ModificationTime        int64              `json:"modificationTime"`
		NumRecords              *int64             `json:"numRecords"`
		Tags                    map[string]string  `json:"tags"`
		BaseRowID               *int64             `json:"baseRowId"`
		DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion"`
		DV                      *struct {
			UniqueID    string `json:"uniqueId"`
			Cardinality int64  `json:"cardinality"`
		} `json:"dv"`
	} `json:"files"`
	Txns []struct {
		AppID   string `json:"appId"`
		Version int64  `json:"version"`
	} `json:"txns"`
	Domains []struct {
		Domain        string `json:"domain"`
		Configuration string `json:"configuration"`
	} `json:"domainMetadata"`
}

// TestCorpus reads every table of the Delta corpus, whose expectations come from delta-spark and delta-rs.
// Rows are for the command line's test of the same name.
func TestCorpus(t *testing.T) {
	root := sharedFolder(t, "corpus/delta")
	raw, err := os.ReadFile(filepath.Join(root, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Tables []corpusTable }
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	lake, err := localfile.New(root)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[string]int{}
	for _, table := range manifest.Tables {
		t.Run(table.Table, func(t *testing.T) {
			if err := checkCorpusTable(t, root, delta.Open(lake, table.Table, delta.Options{}), table); err != nil {
				t.Error(err)
				return
			}
			verdicts[table.Expected.Verdict]++
		})
	}
	t.Logf("%d tables: %v", len(manifest.Tables), verdicts)
}

func checkCorpusTable(t *testing.T, root string, table *delta.Table, want corpusTable) error {
	s, err := table.Snapshot(t.Context(), delta.AsOf{})
	if err != nil {
		var f *fault.Fault
		if !errors.As(err, &f) || f.Object == "" || f.Kind == fault.Internal {
			return fmt.Errorf("not a clear fault: %w", err)
		}
	}
	e := want.Expected
	switch e.Verdict {
	case "must_refuse":
		if err == nil {
			err = scanRefusal(t.Context(), table, s)
		}
		if err == nil {
			return errors.New("read without an error, but must be refused")
		}
		t.Logf("refused: %v", err)
		return nil
	case "implementation_defined":
		if err != nil {
			t.Logf("refused: %v", err)
			return nil
		}
	case "must_read_if_features_supported":
		if err != nil && namesFeature(err, want.ReaderFeatures) {
			t.Logf("refused: %v", err)
			return nil
		}
	case "must_read_must_refuse_write":
		if err == nil && s.CheckWritable() == nil {
			return errors.New("CheckWritable allows writing")
		}
	}
	if err != nil {
		return err
	}
	if err := scanRefusal(t.Context(), table, s); err != nil && e.Verdict != "implementation_defined" {
		return err
	}
	return errors.Join(compareSummary(s, want), compareState(s, root, want), compareHistory(t, table, want))
}

func namesFeature(err error, features []string) bool {
	return slices.ContainsFunc(features, func(f string) bool { return strings.Contains(err.Error(), f) })
}

// scanRefusal does what whoever scans the data does first with each file.
func scanRefusal(ctx context.Context, table *delta.Table, s *delta.Snapshot) error {
	for _, a := range s.Files() {
		if _, err := table.FilePath(a); err != nil {
			return err
		}
		if _, err := table.DeletedRows(ctx, a.DeletionVector); err != nil {
			return err
		}
		for _, c := range s.Metadata().PartitionColumns {
			f, _ := s.Schema().Field(c)
			value, ok := a.PartitionValues[s.PhysicalName(f)]
			if !ok {
				return fmt.Errorf("file %q has no value for partition column %q", a.Path, c)
			}
			if _, err := delta.ParsePartitionValue(f.Type, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareSummary(s *delta.Snapshot, want corpusTable) error {
	var errs []error
	e := want.Expected
	if e.Version != nil && s.Version() != *e.Version {
		errs = append(errs, fmt.Errorf("version %d, want %d", s.Version(), *e.Version))
	}
	if e.NumFiles != nil && s.NumFiles() != *e.NumFiles {
		errs = append(errs, fmt.Errorf("%d files, want %d", s.NumFiles(), *e.NumFiles))
	}
	if e.Schema != nil {
		text, err := s.Schema().JSON()
		errs = append(errs, err, sameJSON("schema", []byte(text), e.Schema))
	}
	if e.Partition != nil && !slices.Equal(e.Partition, s.Metadata().PartitionColumns) {
		errs = append(errs, fmt.Errorf("partition columns %v, want %v", s.Metadata().PartitionColumns, e.Partition))
	}
	if e.Protocol != nil {
		text, err := json.Marshal(s.Protocol())
		errs = append(errs, err, sameProtocol(text, e.Protocol))
	}
	return errors.Join(errs...)
}

// sameProtocol compares the feature lists as sets: Spark prints them sorted.
func sameProtocol(got, want []byte) error {
	normal := func(b []byte) map[string]any {
		var m map[string]any
		_ = json.Unmarshal(b, &m)
		for _, k := range []string{"readerFeatures", "writerFeatures"} {
			list, _ := m[k].([]any)
			names := make([]string, len(list))
			for i, v := range list {
				names[i] = fmt.Sprint(v)
			}
			slices.Sort(names)
			m[k] = names
		}
		return m
	}
	if d := cmp.Diff(normal(want), normal(got)); d != "" {
		return fmt.Errorf("protocol (-want +got):\n%s", d)
	}
	return nil
}

func sameJSON(what string, got, want []byte) error {
	var g, w any
	if err := errors.Join(decodeExact(got, &g), decodeExact(want, &w)); err != nil {
		return err
	}
	if d := cmp.Diff(w, g); d != "" {
		return fmt.Errorf("%s (-want +got):\n%s", what, d)
	}
	return nil
}

func decodeExact(b []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(out)
}

func compareState(s *delta.Snapshot, root string, want corpusTable) error {
	if want.ExpectedState == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(root, want.ExpectedState))
	if err != nil {
		return err
	}
	var e expectedState
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	var errs []error
	differ := func(what string, want, got any) {
		if d := cmp.Diff(want, got); d != "" {
			errs = append(errs, fmt.Errorf("%s (-want +got):\n%s", what, d))
		}
	}
	m := s.Metadata()
	differ("id", e.Metadata.ID, m.ID)
	differ("name", deref(e.Metadata.Name), m.Name)
	differ("description", deref(e.Metadata.Description), m.Description)
	differ("created", e.Metadata.CreatedTime, m.CreatedTime)
	config := map[string]string{}
	maps.Copy(config, m.Configuration)
	differ("configuration", e.Metadata.Configuration, config)
	if e.Metadata.SchemaString != nil {
		differ("schemaString", *e.Metadata.SchemaString, m.SchemaString)
	}
	errs = append(errs, sameFiles(s, e)...)
	wantTxns, gotTxns := map[string]int64{}, map[string]int64{}
	for _, x := range e.Txns {
		wantTxns[x.AppID] = x.Version
	}
	for _, x := range s.Txns() {
		gotTxns[x.AppID] = x.Version
	}
	differ("txns", wantTxns, gotTxns)
	wantDomains, gotDomains := map[string]string{}, map[string]string{}
	for _, d := range e.Domains {
		wantDomains[d.Domain] = d.Configuration
	}
	for _, d := range s.Domains() {
		gotDomains[d.Domain] = d.Configuration
	}
	differ("domains", wantDomains, gotDomains)
	return errors.Join(errs...)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func sameFiles(s *delta.Snapshot, e expectedState) []error {
	var errs []error
	live := map[string]delta.Add{}
	for _, a := range s.Files() {
		live[a.Path+"|"+a.DeletionVector.UniqueID()] = a
	}
	for _, w := range e.Files {
		dv := ""
		if w.DV != nil {
			dv = w.DV.UniqueID
		}
		a, ok := live[w.Path+"|"+dv]
		if !ok {
			errs = append(errs, fmt.Errorf("file %q (dv %q) is missing", w.Path, dv))
			continue
		}
		var rows *int64
		// Spark shows no count for files that have only stats_parsed; we read those.
		if st, ok := delta.ParseStats(a.Stats); ok && w.NumRecords != nil {
			rows = &st.NumRecords
		}
		got := []any{a.Size, a.PartitionValues, a.ModificationTime, rows, a.BaseRowID, a.DefaultRowCommitVersion, len(a.Tags)}
		want := []any{w.Size, w.PartitionValues, w.ModificationTime, w.NumRecords, w.BaseRowID, w.DefaultRowCommitVersion, len(w.Tags)}
		if d := cmp.Diff(want, got); d != "" {
			errs = append(errs, fmt.Errorf("file %q (-want +got):\n%s", w.Path, d))
		}
		if w.DV != nil && w.DV.Cardinality != a.DeletionVector.Cardinality {
			errs = append(errs, fmt.Errorf("file %q: cardinality %d, want %d", w.Path, a.DeletionVector.Cardinality, w.DV.Cardinality))
		}
	}
	return errs
}

func compareHistory(t *testing.T, table *delta.Table, want corpusTable) error {
	var errs []error
	for text, files := range want.Expected.FilesAtVersion {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || files == nil {
			continue
		}
		s, err := table.Snapshot(t.Context(), delta.AsOf{Version: &v})
		if err != nil {
			errs = append(errs, fmt.Errorf("version %d: %w", v, err))
			continue
		}
		if s.NumFiles() != *files {
			errs = append(errs, fmt.Errorf("version %d: %d files, want %d", v, s.NumFiles(), *files))
		}
	}
	return errors.Join(errs...)
}

// sharedFolder finds a folder of the project's shared material, which lies beside the checkout.
func sharedFolder(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	dir = filepath.Join(dir, "..", "shared", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: %s is not beside the checkout", name)
	}
	return dir
}
