package delta

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

// NewMetadata gives metadata and protocol for the first commit of a table: protocol (1,2), and as much more as the
// schema and the properties demand (Protocol.Supporting). A property that would switch on a feature outside this
// package, or has no valid value, is an InvalidInput fault.
func (t *Table) NewMetadata(schema Schema, partitionColumns []string, configuration map[string]string) (Metadata, Protocol, error) {
	refuse := func(err error) (Metadata, Protocol, error) {
		return Metadata{}, Protocol{}, fault.New(fault.InvalidInput, "define table", t.prefix, "%w", err)
	}
	if err := checkNewSchema(schema, partitionColumns); err != nil {
		return refuse(err)
	}
	if err := checkConfiguration(nil, configuration); err != nil {
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
	maps.Copy(m.Configuration, configuration)
	p, err := Protocol{MinReaderVersion: 1, MinWriterVersion: 2}.Supporting(m)
	if err != nil {
		return refuse(err)
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
	if schema.Uses(Void) {
		return fmt.Errorf("a column of type void has no place in a data file")
	}
	if schema.Uses(Variant) {
		return fmt.Errorf("columns of type variant are read, but not written (variantType)")
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

// checkConfiguration refuses properties that are new, or have a new value, and that need what is not written here, or
// have no meaning.
func checkConfiguration(old, configuration map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(configuration)) {
		value := configuration[key]
		if before, ok := old[key]; ok && before == value {
			continue
		}
		if err := checkProperty(key, value); err != nil {
			return err
		}
	}
	return nil
}

func checkProperty(key, value string) error {
	wrong := func(what string) error { return fmt.Errorf("property %s=%s: %s", key, value, what) }
	switch key {
	case "delta.enableRowTracking", "delta.enableIcebergCompatV1", "delta.enableIcebergCompatV2", "delta.enableIcebergCompatV3",
		"delta.enableVariantShredding":
		if isTrue(value) {
			return wrong("not supported")
		}
		return checkBoolean(wrong, value)
	case propVectors, propICT, propTypeWidening, propCDF, propAppendOnly, propStatsAsJSON, propStatsAsStruct, propLogCleanup:
		return checkBoolean(wrong, value)
	case propTombstoneRetention, propLogRetention:
		if _, ok := parseInterval(value); !ok {
			return wrong(`not an interval such as "interval 30 days"`)
		}
	case propCheckpointInterval:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n <= 0 {
			return wrong("not a positive number of commits")
		}
	case propMapping:
		if value != "none" {
			return wrong("columns are not mapped here")
		}
	case propCheckpointPolicy:
		if value != "classic" && value != "v2" {
			return wrong("neither classic nor v2")
		}
	case propIsolation:
		if value != string(Serializable) {
			return wrong("only Serializable may be said of a table; a transaction may say otherwise for itself")
		}
	case propTxnRetention:
		return wrong("it would forget how far an application got")
	case "delta.minReaderVersion", "delta.minWriterVersion":
		return wrong("no property, but part of the protocol")
	}
	if strings.HasPrefix(key, "delta.feature.") {
		return wrong("no property, but part of the protocol")
	}
	if name, ok := strings.CutPrefix(key, constraintPrefix); ok && (name == "" || strings.TrimSpace(value) == "") {
		return wrong("a constraint needs a name and an expression")
	}
	return nil
}

func checkBoolean(wrong func(string) error, value string) error {
	if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
		return wrong("neither true nor false")
	}
	return nil
}

// clusteringDomain holds the columns by which a table is clustered (protocol, "Clustered Table").
const clusteringDomain = "delta.clustering"

// Clustering is the metadata domain for Txn.SetDomain that clusters a table by these columns, each a path from the outermost
// name inwards; none ends the clustering. The table needs the feature "clustering" and no partition columns.
func Clustering(columns ...[]string) (DomainMetadata, error) {
	text, err := marshal(clusteringJSON[[]string]{nonNil(columns)})
	return DomainMetadata{Domain: clusteringDomain, Configuration: string(text)}, err
}

type clusteringJSON[Column any] struct {
	Columns []Column `json:"clusteringColumns"`
}

// ClusteringColumns are the columns by which the table is clustered, as logical paths; ok is false when it is not, or by what
// its schema lacks.
func (s *Snapshot) ClusteringColumns() (columns [][]string, ok bool) {
	text, ok := s.Domain(clusteringDomain)
	if !ok {
		return nil, false
	}
	var paths clusteringJSON[json.RawMessage]
	if json.Unmarshal([]byte(text), &paths) != nil || len(paths.Columns) == 0 {
		return nil, false
	}
	for _, raw := range paths.Columns {
		var path []string
		if json.Unmarshal(raw, &path) != nil {
			var name string // as PROTOCOL.md has it; Spark writes the parts of a name
			if json.Unmarshal(raw, &name) != nil {
				return nil, false
			}
			path = []string{name}
		}
		logical, err := s.logicalPath(path)
		if err != nil {
			return nil, false
		}
		columns = append(columns, logical)
	}
	return columns, true
}

// logicalPath turns physical names into those of the schema.
func (s *Snapshot) logicalPath(physical []string) ([]string, error) {
	fields := s.schema.Fields
	var out []string
	for _, name := range physical {
		i := slices.IndexFunc(fields, func(f Field) bool { return s.PhysicalName(f) == name })
		if i < 0 {
			return nil, errors.New("no such column")
		}
		out = append(out, fields[i].Name)
		inner, _ := fields[i].Type.(StructType)
		fields = inner.Fields
	}
	return out, nil
}
