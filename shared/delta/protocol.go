package delta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

const (
	readerWithFeatures = 3 // from this reader version on, readerFeatures exists
	writerWithFeatures = 7 // from this writer version on, writerFeatures exists
)

// Table properties and features that this package acts on.
const (
	propCDF                = "delta.enableChangeDataFeed"
	propAppendOnly         = "delta.appendOnly"
	propCheckpointInterval = "delta.checkpointInterval"
	propTombstoneRetention = "delta.deletedFileRetentionDuration"
	propIsolation          = "delta.isolationLevel"
	propVectors            = "delta.enableDeletionVectors"
	propICT                = "delta.enableInCommitTimestamps"
	propICTVersion         = "delta.inCommitTimestampEnablementVersion"
	propICTTimestamp       = "delta.inCommitTimestampEnablementTimestamp"

	featAppendOnly    = "appendOnly"
	featInvariants    = "invariants"
	featCDF           = "changeDataFeed"
	featTimestampNTZ  = "timestampNtz"
	featDeletionVecs  = "deletionVectors"
	featDomains       = "domainMetadata"
	featColumnMapping = "columnMapping"
	featICT           = "inCommitTimestamp"
)

// readableFeature tells whether a log with this reader feature is understood here. Whether the data can be
// scanned (deletion vectors, column mapping, widened types) is for the engine to say.
func readableFeature(name string) bool {
	switch name {
	case featDeletionVecs, featColumnMapping, featTimestampNTZ, "v2Checkpoint", "vacuumProtocolCheck",
		"typeWidening", "typeWidening-preview":
		return true
	}
	return false
}

// writableFeature tells whether commits may be written to a table with this writer feature, given that
// activeConstraint finds nothing to enforce.
func writableFeature(name string) bool {
	switch name {
	case featAppendOnly, featInvariants, "checkConstraints", featCDF, "generatedColumns", featTimestampNTZ:
		return true
	}
	return false
}

// has tells whether the protocol supports a writer feature by list, or by a legacy version number.
func (p Protocol) has(feature string) bool {
	if p.MinWriterVersion >= writerWithFeatures {
		return slices.Contains(p.WriterFeatures, feature)
	}
	return slices.Contains(legacyFeatures(p.MinWriterVersion), feature)
}

// legacyFeatures are the features that a writer version below 7 implies.
func legacyFeatures(writer int) []string {
	var f []string
	if writer >= 2 {
		f = append(f, featAppendOnly, featInvariants)
	}
	if writer >= 3 {
		f = append(f, "checkConstraints")
	}
	if writer >= 4 {
		f = append(f, featCDF, "generatedColumns")
	}
	if writer >= 5 {
		f = append(f, featColumnMapping)
	}
	if writer >= 6 {
		f = append(f, "identityColumns")
	}
	return f
}

// valid checks the protocol's own rules about versions and lists (protocol, "Protocol Evolution").
func (p Protocol) valid() error {
	switch {
	case p.MinReaderVersion < 1 || p.MinReaderVersion > readerWithFeatures:
		return fmt.Errorf("reader version %d is unknown", p.MinReaderVersion)
	case p.MinWriterVersion < 1:
		return fmt.Errorf("writer version %d is invalid", p.MinWriterVersion)
	case p.MinReaderVersion == readerWithFeatures && p.MinWriterVersion < writerWithFeatures:
		return fmt.Errorf("reader version 3 requires writer version 7, found %d", p.MinWriterVersion)
	case (p.ReaderFeatures != nil) != (p.MinReaderVersion == readerWithFeatures):
		return fmt.Errorf("readerFeatures must exist exactly at reader version 3, found version %d", p.MinReaderVersion)
	case (p.WriterFeatures != nil) != (p.MinWriterVersion >= writerWithFeatures):
		return fmt.Errorf("writerFeatures must exist exactly at writer version 7, found version %d", p.MinWriterVersion)
	}
	for _, f := range p.ReaderFeatures {
		if !slices.Contains(p.WriterFeatures, f) {
			return fmt.Errorf("reader feature %q is not listed as a writer feature", f)
		}
	}
	return nil
}

// checkReadable refuses tables whose log this package would misread.
func (p Protocol) checkReadable() error {
	if err := p.valid(); err != nil {
		return err
	}
	var unknown []string
	for _, f := range p.ReaderFeatures {
		if !readableFeature(f) {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("reader feature not supported: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// CheckWritable tells whether this package may commit to the table: an InvalidInput fault names the writer
// features, constraints or properties that it does not implement.
func (s *Snapshot) CheckWritable() error {
	if s.version < 0 {
		return nil
	}
	if err := checkWritable(s.protocol, s.metadata, s.schema); err != nil {
		return fault.New(fault.InvalidInput, "write", s.table.prefix, "%w", err).
			WithHint("write this table with an engine that implements it, or drop the feature there first")
	}
	return nil
}

func checkWritable(p Protocol, m Metadata, schema Schema) error {
	features := p.WriterFeatures
	if p.MinWriterVersion < writerWithFeatures {
		features = legacyFeatures(p.MinWriterVersion)
	}
	if p.MinWriterVersion > writerWithFeatures {
		return fmt.Errorf("writer version %d is unknown", p.MinWriterVersion)
	}
	var unknown []string
	for _, f := range features {
		if !writableFeature(f) {
			unknown = append(unknown, f)
		}
	}
	if p.MinReaderVersion == 2 && !slices.Contains(unknown, featColumnMapping) {
		unknown = append(unknown, featColumnMapping)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("writer feature not supported: %s", strings.Join(unknown, ", "))
	}
	return activeConstraint(m, schema)
}

// activeConstraint finds what a writer would have to enforce row by row.
func activeConstraint(m Metadata, schema Schema) error {
	for key := range m.Configuration {
		if strings.HasPrefix(key, "delta.constraints.") {
			return fmt.Errorf("check constraint %s is not enforced by lakestep", key)
		}
	}
	var found error
	walkFields(schema, func(f Field) bool {
		for key := range f.Metadata {
			if key == "delta.invariants" || key == "delta.generationExpression" || strings.HasPrefix(key, "delta.identity.") {
				found = fmt.Errorf("column %q has %s, which lakestep does not enforce", f.Name, key)
				return false
			}
		}
		return true
	})
	return found
}

// NewMetadata gives metadata and protocol for the first commit of a table: protocol (1,2); (1,4) with
// delta.enableChangeDataFeed=true; (3,7) with feature lists when a column is a timestamp_ntz. The legacy
// numbers are kept where they suffice, because older engines read and write them. A property that would
// switch on a feature outside this package is an InvalidInput fault.
func (t *Table) NewMetadata(schema Schema, partitionColumns []string, configuration map[string]string) (Metadata, Protocol, error) {
	refuse := func(err error) (Metadata, Protocol, error) {
		return Metadata{}, Protocol{}, fault.New(fault.InvalidInput, "define table", t.prefix, "%w", err)
	}
	if err := checkNewSchema(schema, partitionColumns); err != nil {
		return refuse(err)
	}
	if err := checkConfiguration(configuration); err != nil {
		return refuse(err)
	}
	text, err := schema.JSON()
	if err != nil {
		return refuse(err)
	}
	created := t.now().UnixMilli()
	m := Metadata{
		ID: t.newID(), Format: Format{Provider: "parquet", Options: map[string]string{}}, SchemaString: text,
		PartitionColumns: nonNil(slices.Clone(partitionColumns)), Configuration: map[string]string{}, CreatedTime: &created,
	}
	for k, v := range configuration {
		m.Configuration[k] = v
	}
	p := Protocol{MinReaderVersion: 1, MinWriterVersion: 2}
	if isTrue(configuration[propCDF]) {
		p.MinWriterVersion = 4
	}
	if schema.usesType(TimestampNTZ) {
		writer := []string{featAppendOnly, featInvariants, featTimestampNTZ}
		if p.MinWriterVersion == 4 {
			writer = append(writer, featCDF)
		}
		p = Protocol{MinReaderVersion: 3, MinWriterVersion: 7, ReaderFeatures: []string{featTimestampNTZ}, WriterFeatures: writer}
	}
	return m, p, nil
}

func checkNewSchema(schema Schema, partitionColumns []string) error {
	if len(schema.Fields) == 0 {
		return fmt.Errorf("schema has no columns")
	}
	var bad error
	walkFields(schema, func(f Field) bool {
		switch {
		case f.Name == "" || strings.ContainsAny(f.Name, " ,;{}()\n\t="):
			bad = fmt.Errorf("column name %q: empty, or holds one of the characters ' ,;{}()\\n\\t=' that Delta forbids", f.Name)
		case f.Type == nil:
			bad = fmt.Errorf("column %q has no type", f.Name)
		}
		return bad == nil
	})
	if bad != nil {
		return bad
	}
	if schema.usesType("void") {
		return fmt.Errorf("a column of type void has no place in a data file")
	}
	// The round trip applies every rule of reading: known types, names unique without regard to case.
	text, err := schema.JSON()
	if err != nil {
		return err
	}
	if _, err := ParseSchema(text); err != nil {
		return err
	}
	if len(partitionColumns) >= len(schema.Fields) {
		return fmt.Errorf("every column is a partition column")
	}
	return checkPartitionColumns(schema, partitionColumns)
}

func checkPartitionColumns(schema Schema, columns []string) error {
	seen := map[string]bool{}
	for _, c := range columns {
		f, ok := schema.Field(c)
		if !ok {
			return fmt.Errorf("partition column %q is not in the schema", c)
		}
		if _, ok := f.Type.(Primitive); !ok {
			return fmt.Errorf("partition column %q has type %s; only primitive types can be partitioned by", c, f.Type)
		}
		if seen[c] {
			return fmt.Errorf("partition column %q is named twice", c)
		}
		seen[c] = true
	}
	return nil
}

// checkConfiguration refuses properties that need features which lakestep does not write.
func checkConfiguration(configuration map[string]string) error {
	for _, key := range []string{"delta.enableDeletionVectors", "delta.enableRowTracking", propICT,
		"delta.enableTypeWidening", "delta.enableIcebergCompatV1", "delta.enableIcebergCompatV2", "delta.enableIcebergCompatV3",
		"delta.enableVariantShredding"} {
		if isTrue(configuration[key]) {
			return fmt.Errorf("property %s=true is not supported", key)
		}
	}
	for key, value := range configuration {
		switch {
		case key == "delta.columnMapping.mode" && value != "none",
			key == "delta.checkpointPolicy" && value != "classic",
			key == "delta.setTransactionRetentionDuration", // would forget how far an application got
			strings.HasPrefix(key, "delta.constraints."):
			return fmt.Errorf("property %s=%s is not supported", key, value)
		}
	}
	return nil
}

func isTrue(v string) bool { return strings.EqualFold(v, "true") }
