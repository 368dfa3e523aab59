package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// checksum is what other writers leave beside a commit, so that readers may compare (protocol, "Version Checksum File"). The histograms
// are left out: they say nothing of a reader's rows.
type checksum struct {
	TableSizeBytes    *int64            `json:"tableSizeBytes"`
	NumFiles          *int64            `json:"numFiles"`
	NumMetadata       *int64            `json:"numMetadata"`
	NumProtocol       *int64            `json:"numProtocol"`
	Metadata          *Metadata         `json:"metadata"` // required today; Delta 0.x and 1.x wrote neither
	Protocol          *Protocol         `json:"protocol"`
	InCommitTimestamp *int64            `json:"inCommitTimestampOpt"` // milliseconds
	Txns              *[]SetTransaction `json:"setTransactions"`
	Domains           *[]DomainMetadata `json:"domainMetadata"`
	Files             *[]Add            `json:"allFiles"`
	DeletedRows       *int64            `json:"numDeletedRecordsOpt"`
	DeletionVectors   *int64            `json:"numDeletionVectorsOpt"`
}

// VerifyChecksum compares a snapshot with the checksum file of its version, and lists what is wrong with the file; nothing where there is
// none. Reading never asks it: Spark, however, takes the protocol and the metadata from there. The error is of the store.
func (t *Table) VerifyChecksum(ctx context.Context, s *Snapshot) ([]LogProblem, error) {
	key := t.logKey(fmt.Sprintf("%020d.crc", s.version))
	problem := func(format string, args ...any) LogProblem {
		return LogProblem{key, fmt.Sprintf(format, args...), "check again if a writer is at work; else delete the file: readers do without it, but some believe it"}
	}
	text, err := store.ReadAll(ctx, t.store, key, maxLine) // one line, too
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case fault.KindOf(err) == fault.InvalidInput:
		return []LogProblem{problem("%v", err)}, nil
	case err != nil:
		return nil, err
	}
	var c checksum
	if err := json.Unmarshal(text, &c); err != nil {
		return []LogProblem{problem("the checksum file is damaged: %v", err)}, nil
	}
	var found []LogProblem
	for _, what := range c.differences(s) {
		found = append(found, problem("the checksum file is wrong: %s", what))
	}
	return found, nil
}

func (c *checksum) differences(s *Snapshot) []string {
	var out []string
	number := func(name string, says *int64, is int64, required bool) {
		switch {
		case says == nil && required:
			out = append(out, "it lacks "+name)
		case says != nil && *says != is:
			out = append(out, fmt.Sprintf("%s is %d, and %d by the log", name, *says, is))
		}
	}
	part := func(name string, equal bool) {
		if !equal {
			out = append(out, "its "+name+" is not that of the log")
		}
	}
	var rows, vectors int64
	for _, a := range s.files {
		if a.DeletionVector != nil {
			rows, vectors = rows+a.DeletionVector.Cardinality, vectors+1
		}
	}
	number("tableSizeBytes", c.TableSizeBytes, s.size, true)
	number("numFiles", c.NumFiles, int64(len(s.files)), true)
	number("numMetadata", c.NumMetadata, 1, true)
	number("numProtocol", c.NumProtocol, 1, true)
	number("numDeletedRecordsOpt", c.DeletedRows, rows, false)
	number("numDeletionVectorsOpt", c.DeletionVectors, vectors, false)
	if at := s.info.InCommitTimestamp; at != nil {
		number("inCommitTimestampOpt", c.InCommitTimestamp, *at, false)
	}
	part("protocol", c.Protocol == nil || sameProtocol(*c.Protocol, s.protocol))
	part("metadata", c.Metadata == nil || sameMetadata(*c.Metadata, s.metadata))
	part("setTransactions", c.Txns == nil || s.sameTxns(*c.Txns))
	part("domainMetadata", c.Domains == nil || sameDomains(*c.Domains, s.state.domains))
	part("allFiles", c.Files == nil || sameFiles(*c.Files, s.state.adds))
	return out
}

// sameProtocol takes the features as sets: their order means nothing.
func sameProtocol(a, b Protocol) bool {
	same := func(x, y []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y)))
	}
	return a.MinReaderVersion == b.MinReaderVersion && a.MinWriterVersion == b.MinWriterVersion &&
		same(a.ReaderFeatures, b.ReaderFeatures) && same(a.WriterFeatures, b.WriterFeatures)
}

// sameMetadata takes the schemas as such: writers differ in white space and in the order of keys.
func sameMetadata(a, b Metadata) bool {
	created := func(m Metadata) int64 {
		if m.CreatedTime == nil {
			return -1
		}
		return *m.CreatedTime
	}
	return a.ID == b.ID && a.Name == b.Name && a.Description == b.Description && sameSchema(a.SchemaString, b.SchemaString) && created(a) == created(b) &&
		cmp.Or(a.Format.Provider, "parquet") == cmp.Or(b.Format.Provider, "parquet") && maps.Equal(a.Format.Options, b.Format.Options) &&
		slices.Equal(a.PartitionColumns, b.PartitionColumns) && maps.Equal(a.Configuration, b.Configuration)
}

func sameSchema(a, b string) bool {
	normal := func(text string) string {
		schema, err := ParseSchema(text)
		if err != nil {
			return text
		}
		out, err := schema.JSON()
		if err != nil {
			return text
		}
		return out
	}
	return a == b || normal(a) == normal(b)
}

// sameTxns compares the recorded transactions; where the table forgets old ones, only those that are known to both.
func (s *Snapshot) sameTxns(txns []SetTransaction) bool {
	forgets := s.metadata.Configuration[propTxnRetention] != ""
	seen := map[string]bool{}
	for _, x := range txns {
		own, ok := s.state.txns[x.AppID]
		if seen[x.AppID] || !ok && !forgets || ok && own.Version != x.Version {
			return false
		}
		seen[x.AppID] = true
	}
	return forgets || len(seen) == len(s.state.txns)
}

func sameDomains(domains []DomainMetadata, own map[string]DomainMetadata) bool {
	seen := map[string]bool{}
	for _, d := range domains {
		if mine, ok := own[d.Domain]; seen[d.Domain] || d.Removed || !ok || mine.Configuration != d.Configuration {
			return false
		}
		seen[d.Domain] = true
	}
	return len(seen) == len(own)
}

func sameFiles(files []Add, own map[string]Add) bool {
	seen := map[string]bool{}
	for _, a := range files {
		id := fileID(a.Path, a.DeletionVector.UniqueID())
		if mine, ok := own[id]; seen[id] || !ok || mine.Size != a.Size {
			return false
		}
		seen[id] = true
	}
	return len(seen) == len(own)
}
