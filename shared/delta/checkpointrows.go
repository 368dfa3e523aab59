package delta

// checkpointRow is one row of a classic checkpoint: exactly one column is set, the others are NULL structs
// (protocol, "Checkpoint Schema"). The *_parsed columns, which depend on the table, are not here: see checkpointLayout.
type checkpointRow struct {
	Txn      *txnRow      `parquet:"txn,optional"`
	Add      *addRow      `parquet:"add,optional"`
	Remove   *removeRow   `parquet:"remove,optional"`
	Metadata *metadataCol `parquet:"metaData,optional"`
	Protocol *protocolCol `parquet:"protocol,optional"`
	Domain   *domainRow   `parquet:"domainMetadata,optional"`
}

type txnRow struct {
	AppID       string `parquet:"appId"`
	Version     int64  `parquet:"version"`
	LastUpdated *int64 `parquet:"lastUpdated,optional"`
}

type addRow struct {
	Path                    string             `parquet:"path"`
	PartitionValues         map[string]*string `parquet:"partitionValues" parquet-value:",optional"`
	Size                    int64              `parquet:"size"`
	ModificationTime        int64              `parquet:"modificationTime"`
	DataChange              bool               `parquet:"dataChange"`
	Stats                   *string            `parquet:"stats,optional"`
	Tags                    map[string]string  `parquet:"tags,optional"`
	DeletionVector          *vectorCol         `parquet:"deletionVector,optional"`
	BaseRowID               *int64             `parquet:"baseRowId,optional"`
	DefaultRowCommitVersion *int64             `parquet:"defaultRowCommitVersion,optional"`
	ClusteringProvider      *string            `parquet:"clusteringProvider,optional"`
}

type removeRow struct {
	Path                    string             `parquet:"path"`
	DeletionTimestamp       *int64             `parquet:"deletionTimestamp,optional"`
	DataChange              bool               `parquet:"dataChange"`
	ExtendedFileMetadata    *bool              `parquet:"extendedFileMetadata,optional"`
	PartitionValues         map[string]*string `parquet:"partitionValues,optional" parquet-value:",optional"`
	Size                    *int64             `parquet:"size,optional"`
	DeletionVector          *vectorCol         `parquet:"deletionVector,optional"`
	BaseRowID               *int64             `parquet:"baseRowId,optional"`
	DefaultRowCommitVersion *int64             `parquet:"defaultRowCommitVersion,optional"`
}

type vectorCol struct {
	StorageType    string `parquet:"storageType"`
	PathOrInlineDV string `parquet:"pathOrInlineDv"`
	Offset         *int32 `parquet:"offset,optional"`
	SizeInBytes    int32  `parquet:"sizeInBytes"`
	Cardinality    int64  `parquet:"cardinality"`
}

type metadataCol struct {
	ID               string            `parquet:"id"`
	Name             *string           `parquet:"name,optional"`
	Description      *string           `parquet:"description,optional"`
	Format           formatCol         `parquet:"format"`
	SchemaString     string            `parquet:"schemaString"`
	PartitionColumns []string          `parquet:"partitionColumns,list"`
	CreatedTime      *int64            `parquet:"createdTime,optional"`
	Configuration    map[string]string `parquet:"configuration"`
}

type formatCol struct {
	Provider string            `parquet:"provider"`
	Options  map[string]string `parquet:"options"`
}

type protocolCol struct {
	MinReaderVersion int32    `parquet:"minReaderVersion"`
	MinWriterVersion int32    `parquet:"minWriterVersion"`
	ReaderFeatures   []string `parquet:"readerFeatures,optional,list"`
	WriterFeatures   []string `parquet:"writerFeatures,optional,list"`
}

type domainRow struct {
	Domain        string `parquet:"domain"`
	Configuration string `parquet:"configuration"`
	Removed       bool   `parquet:"removed"`
}

// addRowOf marks the file as no data change: a checkpoint changes nothing.
func addRowOf(a Add) *addRow {
	return &addRow{
		Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size, ModificationTime: a.ModificationTime,
		Stats: textOrNull(a.Stats), Tags: a.Tags, DeletionVector: vectorOf(a.DeletionVector),
		BaseRowID: a.BaseRowID, DefaultRowCommitVersion: a.DefaultRowCommitVersion, ClusteringProvider: a.ClusteringProvider,
	}
}

func removeRowOf(r Remove) *removeRow {
	return &removeRow{
		Path: r.Path, DeletionTimestamp: r.DeletionTimestamp, ExtendedFileMetadata: r.ExtendedFileMetadata,
		PartitionValues: r.PartitionValues, Size: r.Size, DeletionVector: vectorOf(r.DeletionVector),
		BaseRowID: r.BaseRowID, DefaultRowCommitVersion: r.DefaultRowCommitVersion,
	}
}

func vectorOf(d *DeletionVector) *vectorCol {
	if d == nil {
		return nil
	}
	return &vectorCol{d.StorageType, d.PathOrInlineDV, d.Offset, d.SizeInBytes, d.Cardinality}
}

func metadataRow(m Metadata) *metadataCol {
	provider := m.Format.Provider
	if provider == "" {
		provider = "parquet"
	}
	return &metadataCol{
		ID: m.ID, Name: textOrNull(m.Name), Description: textOrNull(m.Description),
		Format: formatCol{Provider: provider, Options: m.Format.Options}, SchemaString: m.SchemaString,
		PartitionColumns: m.PartitionColumns, CreatedTime: m.CreatedTime, Configuration: m.Configuration,
	}
}

// protocolRow keeps the feature lists NULL where the protocol has none.
func protocolRow(p Protocol) *protocolCol {
	return &protocolCol{int32(p.MinReaderVersion), int32(p.MinWriterVersion), p.ReaderFeatures, p.WriterFeatures}
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
