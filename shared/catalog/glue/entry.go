package glue

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/delta"
)

// The parameters of an entry that are ours.
const (
	keyTable    = "lakestep.table"
	keyPipeline = "lakestep.pipeline"
	keyLake     = "lakestep.lake"
	keyID       = "lakestep.id"
	keyVersion  = "lakestep.version"
	keyRun      = "lakestep.run"
)

// How an entry says that it is a Delta table. Athena's DDL writes these parameters (but for the classification, which Glue's console and jobs
// show), this SerDe and these formats; readers of Delta look at the parameters and at "path" only.
const (
	inputFormat  = "org.apache.hadoop.mapred.SequenceFileInputFormat"
	outputFormat = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"
	serde        = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
	tableType    = "EXTERNAL_TABLE"
)

func markers() map[string]string {
	return map[string]string{"EXTERNAL": "TRUE", "table_type": "delta", "spark.sql.sources.provider": "delta", "classification": "delta"}
}

// Limits of Glue, in bytes.
const (
	maxComment     = 255
	maxDescription = 2048
	maxType        = 131072
)

// input is the entry of a table as it should be.
func input(name string, t catalog.Table) *types.TableInput {
	location := strings.TrimSuffix(t.Location, "/") + "/"
	parameters := markers()
	maps.Copy(parameters, map[string]string{
		keyTable: t.Name, keyPipeline: t.Pipeline, keyLake: t.Lake, keyID: t.ID, keyVersion: strconv.FormatInt(t.Version, 10), keyRun: t.Run,
	})
	in := &types.TableInput{
		Name: &name, Description: aws.String(clean(t.Description, maxDescription, true)), TableType: aws.String(tableType), Parameters: parameters,
		PartitionKeys: []types.Column{}, // Athena wants a list also when it is empty
		StorageDescriptor: &types.StorageDescriptor{
			Location: &location, InputFormat: aws.String(inputFormat), OutputFormat: aws.String(outputFormat), Columns: []types.Column{},
			SerdeInfo: &types.SerDeInfo{SerializationLibrary: aws.String(serde), Parameters: map[string]string{"path": location, "serialization.format": "1"}},
		},
	}
	for _, f := range t.Schema.Fields {
		if !slices.Contains(t.Partitions, f.Name) {
			in.StorageDescriptor.Columns = append(in.StorageDescriptor.Columns, column(f))
		}
	}
	for _, name := range t.Partitions { // in their own order
		if f, ok := t.Schema.Field(name); ok {
			in.PartitionKeys = append(in.PartitionKeys, column(f))
		}
	}
	return in
}

// column says a field in Hive's words. Names are in lower case, as Hive and Athena have them; Delta has no two that differ in case only. What
// Hive cannot say is a string, with a word about it in the comment: the reader takes the type from the log.
func column(f delta.Field) types.Column {
	var comment string
	if raw, ok := f.Metadata["comment"]; ok {
		_ = json.Unmarshal(raw, &comment) // a comment that is no text is none
	}
	typ, ok := hiveType(f.Type)
	if !ok || len(typ) > maxType {
		typ = "string"
		note := "(Delta: " + clean(f.Type.String(), maxComment/2, false) + ")"
		comment = strings.TrimSpace(clean(comment, maxComment-len(note)-1, false) + " " + note)
	}
	return types.Column{Name: aws.String(strings.ToLower(f.Name)), Type: &typ, Comment: aws.String(clean(comment, maxComment, false))}
}

// differences says what of an entry is not as it should be.
func differences(there *types.Table, want *types.TableInput) []string {
	var what []string
	differ := func(name string, same bool) {
		if !same {
			what = append(what, name)
		}
	}
	sd := there.StorageDescriptor
	if sd == nil {
		sd = &types.StorageDescriptor{}
	}
	serdeInfo := sd.SerdeInfo
	if serdeInfo == nil {
		serdeInfo = &types.SerDeInfo{}
	}
	what = append(what, columnChanges("column", sd.Columns, want.StorageDescriptor.Columns)...)
	what = append(what, columnChanges("partition key", there.PartitionKeys, want.PartitionKeys)...)
	differ("description", aws.ToString(there.Description) == aws.ToString(want.Description))
	differ("location", aws.ToString(sd.Location) == aws.ToString(want.StorageDescriptor.Location) && holds(serdeInfo.Parameters, want.StorageDescriptor.SerdeInfo.Parameters))
	differ("format", aws.ToString(there.TableType) == tableType && holds(there.Parameters, markers()) && aws.ToString(sd.InputFormat) == inputFormat &&
		aws.ToString(sd.OutputFormat) == outputFormat && aws.ToString(serdeInfo.SerializationLibrary) == serde)
	differ(state, holds(there.Parameters, want.Parameters) || !holds(there.Parameters, markers()))
	return what
}

// state is the difference in parameters of ours alone: another version, another run.
const state = "version"

func onlyState(what []string) bool { return len(what) == 1 && what[0] == state }

// holds tells whether a map has all of another. Further parameters are other people's.
func holds(all, some map[string]string) bool {
	for k, v := range some {
		if got, ok := all[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func columnChanges(kind string, there, want []types.Column) []string {
	var what []string
	known := map[string]types.Column{}
	for _, c := range there {
		known[aws.ToString(c.Name)] = c
	}
	for _, c := range want {
		name := aws.ToString(c.Name)
		old, ok := known[name]
		delete(known, name)
		switch {
		case !ok:
			what = append(what, "new "+kind+" "+name)
		case aws.ToString(old.Type) != aws.ToString(c.Type):
			what = append(what, "type of "+kind+" "+name)
		case aws.ToString(old.Comment) != aws.ToString(c.Comment):
			what = append(what, "comment of "+kind+" "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		what = append(what, "no more "+kind+" "+name)
	}
	if len(what) == 0 && !slices.EqualFunc(there, want, func(a, b types.Column) bool { return aws.ToString(a.Name) == aws.ToString(b.Name) }) {
		what = append(what, "order of "+kind+"s")
	}
	return what
}

// merged is want with what other people put into the entry: its owner, its retention, parameters of table and columns.
func merged(there *types.Table, want *types.TableInput) *types.TableInput {
	in, sd := *want, *want.StorageDescriptor
	in.StorageDescriptor = &sd
	in.Owner, in.Retention, in.LastAccessTime, in.LastAnalyzedTime = there.Owner, there.Retention, there.LastAccessTime, there.LastAnalyzedTime
	in.Parameters = with(there.Parameters, want.Parameters)
	old := there.PartitionKeys
	if there.StorageDescriptor != nil {
		sd.Parameters = there.StorageDescriptor.Parameters
		old = slices.Concat(old, there.StorageDescriptor.Columns)
	}
	sd.Columns, in.PartitionKeys = withParameters(old, want.StorageDescriptor.Columns), withParameters(old, want.PartitionKeys)
	return &in
}

func with(theirs, ours map[string]string) map[string]string {
	all := maps.Clone(theirs)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, ours)
	return all
}

func withParameters(old, want []types.Column) []types.Column {
	out := slices.Clone(want)
	for i, c := range out {
		for _, o := range old {
			if aws.ToString(o.Name) == aws.ToString(c.Name) {
				out[i].Parameters = o.Parameters
			}
		}
	}
	return out
}
