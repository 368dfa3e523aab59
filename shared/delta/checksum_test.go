package delta_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	localfile "github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// TestChecksumCorpus compares every checksum file of the corpus, of old versions too, with the snapshot of its version. Spark and Databricks
// wrote them: they must agree. Two lie: a crafted one, and one beside a commit of delta-rs's tests whose time was changed by hand.
func TestChecksumCorpus(t *testing.T) {
	root := sharedFolder(t, "corpus/delta")
	lake, err := localfile.New(root)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "*/*/_delta_log/[0-9]*.crc"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d checksum files, %v", len(files), err)
	}
	compared := 0
	for _, file := range files {
		version, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(file), ".crc"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, filepath.Dir(filepath.Dir(file)))
		table := delta.Open(lake, filepath.ToSlash(name), delta.Options{})
		s, err := table.Snapshot(t.Context(), delta.AsOf{Version: &version})
		if err != nil {
			t.Logf("%s at %d is not read: %v", name, version, err)
			continue
		}
		found, err := table.VerifyChecksum(t.Context(), s)
		switch {
		case err != nil:
			t.Errorf("%s at %d: %v", name, version, err)
		case name == filepath.Join("crafted", "crc-wrong-counts"):
			if len(found) != 2 || !strings.Contains(found[0].What, "tableSizeBytes is 1,") || !strings.Contains(found[1].What, "numFiles is 7,") {
				t.Errorf("%s: %+v", name, found)
			}
		case name == filepath.Join("delta-rs", "cdc_ict_table") && version == 1:
			if len(found) != 1 || !strings.Contains(found[0].What, "inCommitTimestampOpt is 1783874206883, and 1683874206883 by the log") {
				t.Errorf("%s: %+v", name, found)
			}
		case len(found) > 0:
			t.Errorf("%s at %d: %+v", name, version, found)
		default:
			compared++
		}
	}
	t.Logf("%d of %d checksum files are as the log has it", compared, len(files))
	if compared < 100 {
		t.Error("too few were compared")
	}
}

// checksumLog is a table with something of everything that a checksum file tells, and that file.
const (
	checksumLog = `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors","domainMetadata"]}}
{"metaData":{"id":"m","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{"a":"b"},"createdTime":5}}
{"txn":{"appId":"x","version":3,"lastUpdated":1}}
{"domainMetadata":{"domain":"d","configuration":"c","removed":false}}
{"add":{"path":"p%20q","partitionValues":{},"size":10,"modificationTime":1,"dataChange":true}}
{"add":{"path":"v","partitionValues":{},"size":20,"modificationTime":1,"dataChange":true,"deletionVector":{"storageType":"i","pathOrInlineDv":"x","sizeInBytes":1,"cardinality":4}}}
`
	checksumFile = `{"txnId":"t","tableSizeBytes":30,"numFiles":2,"numMetadata":1,"numProtocol":1,"numDeletedRecordsOpt":4,"numDeletionVectorsOpt":1,
"setTransactions":[{"appId":"x","version":3}],"domainMetadata":[{"domain":"d","configuration":"c","removed":false}],
"metadata":{"id":"m","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{"a":"b"},"createdTime":5},
"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["domainMetadata","deletionVectors"]},
"allFiles":[{"path":"v","partitionValues":{},"size":20,"modificationTime":1,"dataChange":false,"deletionVector":{"storageType":"i","pathOrInlineDv":"x","sizeInBytes":1,"cardinality":4}},
{"path":"p%20q","partitionValues":{},"size":10,"modificationTime":1,"dataChange":false}]}`
)

// Every part of a checksum file is held against the log, and a damaged file is a finding.
func TestChecksumDiffers(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"size", `"tableSizeBytes":30`, `"tableSizeBytes":31`, "tableSizeBytes is 31, and 30 by the log"},
		{"files", `"numFiles":2`, `"numFiles":-2`, "numFiles is -2, and 2"},
		{"no count", `"numFiles":2,`, ``, "it lacks numFiles"},
		{"metadata twice", `"numMetadata":1`, `"numMetadata":2`, "numMetadata is 2"},
		{"no protocol", `"numProtocol":1`, `"numProtocol":0`, "numProtocol is 0"},
		{"deleted rows", `"numDeletedRecordsOpt":4`, `"numDeletedRecordsOpt":5`, "numDeletedRecordsOpt is 5, and 4"},
		{"vectors", `"numDeletionVectorsOpt":1`, `"numDeletionVectorsOpt":0`, "numDeletionVectorsOpt is 0, and 1"},
		{"vectors null", `"numDeletionVectorsOpt":1`, `"numDeletionVectorsOpt":null`, ""},
		{"transaction", `"appId":"x","version":3`, `"appId":"x","version":4`, "setTransactions"},
		{"other application", `"appId":"x"`, `"appId":"y"`, "setTransactions"},
		{"no transactions", `[{"appId":"x","version":3}]`, `[]`, "setTransactions"},
		{"transactions unknown", `"setTransactions":[{"appId":"x","version":3}],`, ``, ""},
		{"domain", `"configuration":"c"`, `"configuration":"e"`, "domainMetadata"},
		{"tombstone", `"removed":false`, `"removed":true`, "domainMetadata"},
		{"domain twice", `[{"domain":"d","configuration":"c","removed":false}`, `[{"domain":"d","configuration":"c"},{"domain":"d","configuration":"c"}`, "domainMetadata"},
		{"property", `"a":"b"`, `"a":"c"`, "metadata"},
		{"schema", `\"fields\":[]`, `\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]`, "metadata"},
		{"schema with spaces", `\"fields\":[]`, `\"fields\" : [ ]`, ""},
		{"created", `"createdTime":5`, `"createdTime":6`, "metadata"},
		{"feature", `["domainMetadata","deletionVectors"]`, `["deletionVectors"]`, "protocol"},
		{"reader version", `"minReaderVersion":3`, `"minReaderVersion":2`, "protocol"},
		{"path", `"path":"p%20q"`, `"path":"p%2520q"`, "allFiles"},
		{"vector of a file", `"pathOrInlineDv":"x"`, `"pathOrInlineDv":"y"`, "allFiles"},
		{"size of a file", `"size":10`, `"size":11`, "allFiles"},
		{"file twice", `"allFiles":[`, `"allFiles":[{"path":"v","size":20},`, "allFiles"},
		{"cut off", `"size":10,"modificationTime":1,"dataChange":false}]}`, ``, "damaged"},
		{"two objects", `"dataChange":false}]}`, `"dataChange":false}]}{}`, "damaged"},
		{"no object", checksumFile, `malformed`, "damaged"},
		{"empty", checksumFile, ``, "damaged"},
		{"wrong type", `"numFiles":2`, `"numFiles":"2"`, "damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := checksumFile
			if tt.old != "" {
				if text = strings.Replace(checksumFile, tt.old, tt.new, 1); text == checksumFile {
					t.Fatal("nothing was changed")
				}
			}
			found, err := checksumTable(t, text, inject.Plan{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && len(found) > 0 || tt.want != "" && (len(found) != 1 || !strings.Contains(found[0].What, tt.want)) {
				t.Errorf("%+v, want %q", found, tt.want)
			}
			if len(found) > 0 && (found[0].Hint == "" || found[0].Object != fmt.Sprintf("t/_delta_log/%020d.crc", 0)) {
				t.Errorf("%+v", found)
			}
		})
	}
}

// The store's errors are errors, and no findings.
func TestChecksumUnavailable(t *testing.T) {
	crc := func(o inject.Op) bool { return strings.HasSuffix(o.Key, ".crc") }
	for _, how := range []inject.How{inject.Fail, inject.Cut} {
		if found, err := checksumTable(t, checksumFile, inject.Plan{How: how, At: 1, Counts: crc}); fault.KindOf(err) != fault.Unavailable || len(found) > 0 {
			t.Errorf("%s: %v, %v", how, found, err)
		}
	}
}

// checksumTable verifies a checksum file of checksumLog.
func checksumTable(t *testing.T, text string, plan inject.Plan) ([]delta.LogProblem, error) {
	t.Helper()
	lake := mem.New()
	for name, body := range map[string]string{"json": checksumLog, "crc": text} {
		if err := lake.Put(t.Context(), fmt.Sprintf("t/_delta_log/%020d.%s", 0, name), strings.NewReader(body), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	table := delta.Open(inject.New(plan).Wrap(lake), "t", delta.Options{})
	s, err := table.Snapshot(t.Context(), delta.AsOf{})
	if err != nil {
		t.Fatal(err)
	}
	return table.VerifyChecksum(t.Context(), s)
}
