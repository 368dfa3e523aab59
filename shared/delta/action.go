package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Action is one change in a commit: Add, Remove, CDC, Metadata, Protocol, SetTransaction, DomainMetadata or
// CommitInfo (protocol, "Actions"). The log holds one action per line.
type Action interface{ wrap() line }

// Add makes a data file part of the table (protocol, "Add File and Remove File").
type Add struct {
	Path                    string             `json:"path"` // URI reference, percent-encoded: see EncodePath and Table.FilePath
	PartitionValues         map[string]*string `json:"partitionValues"`
	Size                    int64              `json:"size"`             // bytes, exact: engines plan reads with it
	ModificationTime        int64              `json:"modificationTime"` // milliseconds since the epoch
	DataChange              bool               `json:"dataChange"`       // false: the same rows, rearranged
	Stats                   string             `json:"stats,omitempty"`  // JSON text, "" unknown: see Stats
	Tags                    map[string]string  `json:"tags,omitempty"`
	DeletionVector          *DeletionVector    `json:"deletionVector,omitempty"`
	BaseRowID               *int64             `json:"baseRowId,omitempty"`
	DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion,omitempty"`
	ClusteringProvider      *string            `json:"clusteringProvider,omitempty"`
	StatsParsed             bool               `json:"-"` // the log has Stats in the typed form of a checkpoint only (stats_parsed)
}

// Remove ends a data file's life; the file itself stays until VACUUM.
type Remove struct {
	Path                    string             `json:"path"`
	DeletionTimestamp       *int64             `json:"deletionTimestamp,omitempty"` // milliseconds; absent counts as 0
	DataChange              bool               `json:"dataChange"`
	ExtendedFileMetadata    *bool              `json:"extendedFileMetadata,omitempty"`
	PartitionValues         map[string]*string `json:"partitionValues,omitzero"` // present also when empty: extendedFileMetadata says so
	Size                    *int64             `json:"size,omitempty"`
	Stats                   string             `json:"stats,omitempty"`
	Tags                    map[string]string  `json:"tags,omitempty"`
	DeletionVector          *DeletionVector    `json:"deletionVector,omitempty"`
	BaseRowID               *int64             `json:"baseRowId,omitempty"`
	DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion,omitempty"`
}

// CDC names a file of the change data feed (protocol, "Add CDC File"). It is no part of a snapshot.
type CDC struct {
	Path            string             `json:"path"`
	PartitionValues map[string]*string `json:"partitionValues"`
	Size            int64              `json:"size"`
	DataChange      bool               `json:"dataChange"` // always false
	Tags            map[string]string  `json:"tags,omitempty"`
}

// Metadata describes the table (protocol, "Change Metadata"). A later one replaces all of an earlier one.
type Metadata struct {
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Format           Format            `json:"format"`
	SchemaString     string            `json:"schemaString"` // JSON text of a StructType
	PartitionColumns []string          `json:"partitionColumns"`
	Configuration    map[string]string `json:"configuration"`
	CreatedTime      *int64            `json:"createdTime,omitempty"` // milliseconds
}

// Format is the encoding of the data files; the provider is always "parquet".
type Format struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

// Protocol says what software must understand to read and write the table (protocol, "Protocol Evolution").
// The feature lists are nil below reader version 3 and writer version 7 and present, perhaps empty, from there.
type Protocol struct {
	MinReaderVersion int
	MinWriterVersion int
	ReaderFeatures   []string
	WriterFeatures   []string
}

// SetTransaction records how far an application got (protocol, "Transaction Identifiers").
type SetTransaction struct {
	AppID       string `json:"appId"`
	Version     int64  `json:"version"`
	LastUpdated *int64 `json:"lastUpdated,omitempty"` // milliseconds
}

// DomainMetadata is configuration under a name of its own (protocol, "Domain Metadata").
type DomainMetadata struct {
	Domain        string `json:"domain"`
	Configuration string `json:"configuration"`
	Removed       bool   `json:"removed"`
}

// DeletionVector points to the set of rows that are deleted in a file (protocol, "Deletion Vector Descriptor
// Schema").
type DeletionVector struct {
	StorageType    string `json:"storageType"` // "u", "i" or "p"
	PathOrInlineDV string `json:"pathOrInlineDv"`
	Offset         *int32 `json:"offset,omitempty"` // absent differs from 0
	SizeInBytes    int32  `json:"sizeInBytes"`
	Cardinality    int64  `json:"cardinality"`
}

// UniqueID is the second half of a file's key in the log; "" for no deletion vector.
func (d *DeletionVector) UniqueID() string {
	if d == nil {
		return ""
	}
	id := d.StorageType + d.PathOrInlineDV
	if d.Offset != nil {
		id += "@" + strconv.Itoa(int(*d.Offset))
	}
	return id
}

// sidecar names a file with a V2 checkpoint's adds and removes.
type sidecar struct {
	Path        string `json:"path"`
	SizeInBytes int64  `json:"sizeInBytes"`
}

// line is one line of a commit file; exactly one field is set in what we write.
type line struct {
	CommitInfo     *CommitInfo     `json:"commitInfo,omitempty"`
	Protocol       *Protocol       `json:"protocol,omitempty"`
	Metadata       *Metadata       `json:"metaData,omitempty"`
	Txn            *SetTransaction `json:"txn,omitempty"`
	DomainMetadata *DomainMetadata `json:"domainMetadata,omitempty"`
	Add            *Add            `json:"add,omitempty"`
	Remove         *Remove         `json:"remove,omitempty"`
	CDC            *CDC            `json:"cdc,omitempty"`
	Sidecar        *sidecar        `json:"sidecar,omitempty"` // V2 checkpoints only
}

func (a Add) wrap() line            { return line{Add: &a} }
func (a Remove) wrap() line         { return line{Remove: &a} }
func (a CDC) wrap() line            { return line{CDC: &a} }
func (a Metadata) wrap() line       { return line{Metadata: &a} }
func (a Protocol) wrap() line       { return line{Protocol: &a} }
func (a SetTransaction) wrap() line { return line{Txn: &a} }
func (a DomainMetadata) wrap() line { return line{DomainMetadata: &a} }
func (a CommitInfo) wrap() line     { return line{CommitInfo: &a} }

// encodeLine gives an action as it stands in the log, without the newline.
func encodeLine(a Action) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a.wrap()); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeLine parses one line of a commit or of a JSON checkpoint. Unknown actions give an empty line.
func decodeLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return line{}, err
	}
	return l, l.check()
}

// check refuses actions whose meaning would be guessed: other readers drop them, and rows with them.
func (l line) check() error {
	var errs []error
	require := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	if a := l.Add; a != nil {
		require(a.Path != "" && strings.IndexByte(a.Path, 0) < 0, "add without path, or with a zero byte in it")
		require(a.Size >= 0, "add with negative size")
		errs = append(errs, a.DeletionVector.check())
	}
	if r := l.Remove; r != nil {
		require(r.Path != "" && strings.IndexByte(r.Path, 0) < 0, "remove without path, or with a zero byte in it")
		errs = append(errs, r.DeletionVector.check())
	}
	require(l.CDC == nil || l.CDC.Path != "", "cdc without path")
	require(l.Txn == nil || l.Txn.AppID != "", "txn without appId")
	require(l.DomainMetadata == nil || l.DomainMetadata.Domain != "", "domainMetadata without domain")
	require(l.Sidecar == nil || l.Sidecar.Path != "", "sidecar without path")
	require(l.Metadata == nil || l.Metadata.SchemaString != "", "metaData without schemaString")
	return errors.Join(errs...)
}

func (d *DeletionVector) check() error {
	if d == nil {
		return nil
	}
	switch d.StorageType {
	case "u", "i", "p":
	default:
		return fmt.Errorf("deletion vector with unknown storage type %q", d.StorageType)
	}
	if d.PathOrInlineDV == "" || d.Cardinality < 0 || d.SizeInBytes < 0 {
		return errors.New("deletion vector with an empty location or a negative size")
	}
	return nil
}

// UnmarshalJSON insists on the size, whose zero value would mean an empty file.
func (a *Add) UnmarshalJSON(b []byte) error {
	type fields Add
	aux := struct {
		*fields
		Size *int64 `json:"size"`
	}{fields: (*fields)(a)}
	if err := json.Unmarshal(b, &aux); err != nil {
		return err
	}
	if aux.Size == nil {
		return errors.New("add without size")
	}
	a.Size = *aux.Size
	return nil
}

// MarshalJSON writes an empty object for partition values that are nil: the field is required.
func (a Add) MarshalJSON() ([]byte, error) {
	type fields Add
	if a.PartitionValues == nil {
		a.PartitionValues = map[string]*string{}
	}
	return marshal(fields(a))
}

// MarshalJSON writes required containers also when they are nil.
func (m Metadata) MarshalJSON() ([]byte, error) {
	type fields Metadata
	if m.Format.Provider == "" {
		m.Format.Provider = "parquet"
	}
	if m.Format.Options == nil {
		m.Format.Options = map[string]string{}
	}
	if m.PartitionColumns == nil {
		m.PartitionColumns = []string{}
	}
	if m.Configuration == nil {
		m.Configuration = map[string]string{}
	}
	return marshal(fields(m))
}

// MarshalJSON writes an empty object for partition values that are nil: the field is required.
func (c CDC) MarshalJSON() ([]byte, error) {
	type fields CDC
	if c.PartitionValues == nil {
		c.PartitionValues = map[string]*string{}
	}
	return marshal(fields(c))
}

type protocolJSON struct {
	MinReaderVersion *int      `json:"minReaderVersion"`
	MinWriterVersion *int      `json:"minWriterVersion"`
	ReaderFeatures   *[]string `json:"readerFeatures,omitempty"`
	WriterFeatures   *[]string `json:"writerFeatures,omitempty"`
}

// MarshalJSON writes the feature lists exactly where the protocol has them.
func (p Protocol) MarshalJSON() ([]byte, error) {
	out := protocolJSON{MinReaderVersion: &p.MinReaderVersion, MinWriterVersion: &p.MinWriterVersion}
	if p.MinReaderVersion >= readerWithFeatures {
		out.ReaderFeatures = ptr(nonNil(p.ReaderFeatures))
	}
	if p.MinWriterVersion >= writerWithFeatures {
		out.WriterFeatures = ptr(nonNil(p.WriterFeatures))
	}
	return marshal(out)
}

// UnmarshalJSON keeps the difference between an absent and an empty feature list.
func (p *Protocol) UnmarshalJSON(b []byte) error {
	var in protocolJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.MinReaderVersion == nil || in.MinWriterVersion == nil {
		return errors.New("protocol without minReaderVersion or minWriterVersion")
	}
	*p = Protocol{MinReaderVersion: *in.MinReaderVersion, MinWriterVersion: *in.MinWriterVersion}
	if in.ReaderFeatures != nil {
		p.ReaderFeatures = nonNil(*in.ReaderFeatures)
	}
	if in.WriterFeatures != nil {
		p.WriterFeatures = nonNil(*in.WriterFeatures)
	}
	return nil
}

// marshal is json.Marshal without HTML escapes: stats and paths stay readable in the log.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func ptr[T any](v T) *T { return &v }

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
