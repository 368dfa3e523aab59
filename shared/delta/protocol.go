package delta

import (
	"fmt"
	"slices"
	"strings"
)

const (
	readerWithFeatures = 3 // from this reader version on, readerFeatures exists
	writerWithFeatures = 7 // from this writer version on, writerFeatures exists
)

// Table properties and features that this package acts on.
const (
	propAppendOnly         = "delta.appendOnly"
	propCDF                = "delta.enableChangeDataFeed"
	propCheckpointInterval = "delta.checkpointInterval"
	propCheckpointPolicy   = "delta.checkpointPolicy"
	propICT                = "delta.enableInCommitTimestamps"
	propICTTimestamp       = "delta.inCommitTimestampEnablementTimestamp"
	propICTVersion         = "delta.inCommitTimestampEnablementVersion"
	propIsolation          = "delta.isolationLevel"
	propLogCleanup         = "delta.enableExpiredLogCleanup"
	propLogRetention       = "delta.logRetentionDuration"
	propMapping            = "delta.columnMapping.mode"
	propStatsAsJSON        = "delta.checkpoint.writeStatsAsJson"
	propStatsAsStruct      = "delta.checkpoint.writeStatsAsStruct"
	propTombstoneRetention = "delta.deletedFileRetentionDuration"
	propTxnRetention       = "delta.setTransactionRetentionDuration"
	propTypeWidening       = "delta.enableTypeWidening"
	propVectors            = "delta.enableDeletionVectors"
	constraintPrefix       = "delta.constraints."

	featAppendOnly    = "appendOnly"
	featCDF           = "changeDataFeed"
	featClustering    = "clustering"
	featColumnMapping = "columnMapping"
	featConstraints   = "checkConstraints"
	featDefaults      = "allowColumnDefaults"
	featDeletionVecs  = "deletionVectors"
	featDomains       = "domainMetadata"
	featGenerated     = "generatedColumns"
	featICT           = "inCommitTimestamp"
	featIdentity      = "identityColumns"
	featInvariants    = "invariants"
	featTimestampNTZ  = "timestampNtz"
	featTypeWidening  = "typeWidening"
	featV2Checkpoint  = "v2Checkpoint"

	// Keys of a field's metadata.
	metaGenerated   = "delta.generationExpression"
	metaInvariants  = "delta.invariants"
	metaTypeChanges = "delta.typeChanges"
)

// readerFeature tells whether a feature is one that readers must know too, and that is known here; of rows, to the engine.
func readerFeature(name string) bool {
	switch name {
	case featDeletionVecs, featColumnMapping, featTimestampNTZ, featV2Checkpoint, "vacuumProtocolCheck",
		featTypeWidening, featTypeWidening + "-preview",
		"variantType", "variantType-preview", "variantShredding", "variantShredding-preview": // shredded files are refused when met
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
		f = append(f, featConstraints)
	}
	if writer >= 4 {
		f = append(f, featCDF, featGenerated)
	}
	if writer >= 5 {
		f = append(f, featColumnMapping)
	}
	if writer >= 6 {
		f = append(f, featIdentity)
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
		if !readerFeature(f) {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("reader feature not supported: %s", strings.Join(unknown, ", "))
	}
	return nil
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

func isTrue(v string) bool { return strings.EqualFold(v, "true") }
