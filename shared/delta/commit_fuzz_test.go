package delta

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLine: no line panics, and what is understood of one survives being written and read again.
func FuzzLine(f *testing.F) {
	for _, s := range []string{
		`{"add":{"path":"a","partitionValues":{"p":null},"size":9223372036854775807,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":1}"}}`,
		`{"remove":{"path":"a","dataChange":false,"deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":0,"sizeInBytes":1,"cardinality":2}}}`,
		`{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{}","partitionColumns":[],"configuration":{"a":null}}}`,
		`{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[],"writerFeatures":["x"]}}`,
		`{"commitInfo":{"timestamp":1.5,"operationParameters":[1],"isBlindAppend":"no","readVersion":7}}`,
		`{"commitInfo":"text"}`, `{"txn":{"appId":"a","version":-1}}`, `{"domainMetadata":{"domain":"d","configuration":"c","removed":true}}`,
		`{"cdc":{"path":"_change_data/x","partitionValues":{},"size":1,"dataChange":false}}`, `{"other":{}}`, `{}`, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := 0
		err := scanLines(bytes.NewReader(text), "log", func(l line) error {
			var c Commit
			c.take(l)
			for _, a := range c.actions() {
				seen++
				encoded, err := encodeLine(a)
				if err != nil {
					t.Fatalf("encode %+v: %v", a, err)
				}
				again, err := decodeLine(encoded)
				if err != nil {
					t.Fatalf("%s: %v", encoded, err)
				}
				twice, err := encodeLine(firstAction(again))
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(encoded), string(twice)); d != "" {
					t.Fatal(d)
				}
			}
			return nil
		})
		_ = err
	})
}

func firstAction(l line) Action {
	var c Commit
	c.take(l)
	return c.actions()[0]
}

// actions are all actions of a commit.
func (c Commit) actions() []Action {
	out := (&Txn{changes: c}).Actions()
	out = appendActions(out, c.Domains)
	if len(out) == 0 {
		out = append(out, c.Info)
	}
	return out
}
