package delta

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// Snapshot is the table at one version. It does not change and may be used concurrently.
type Snapshot struct {
	table     *Table
	version   int64
	timestamp time.Time
	info      CommitInfo // of the commit at version; zero when only a checkpoint is left
	protocol  Protocol
	metadata  Metadata
	schema    Schema
	state     *state
	files     []Add // live, by path and deletion vector
	size      int64
}

// state is the outcome of replaying actions (protocol, "Action Reconciliation").
type state struct {
	protocol *Protocol
	metadata *Metadata
	adds     map[string]Add    // live files by fileID
	removes  map[string]Remove // tombstones by fileID
	txns     map[string]SetTransaction
	domains  map[string]DomainMetadata // live ones
	values   valueSets
}

func newState() *state {
	return &state{
		adds: map[string]Add{}, removes: map[string]Remove{}, txns: map[string]SetTransaction{}, domains: map[string]DomainMetadata{},
		values: valueSets{},
	}
}

func (s *state) clone() *state {
	return &state{s.protocol, s.metadata, maps.Clone(s.adds), maps.Clone(s.removes), maps.Clone(s.txns), maps.Clone(s.domains), maps.Clone(s.values)}
}

// valueSets keeps one copy of equal partition values: a map of a file's own takes more memory than all else of it.
type valueSets map[string]map[string]*string

// Bounds of what is kept to be shared: tables with a partition for each file, or with very long values, gain nothing.
const (
	maxValueSets   = 10_000
	maxValueSetKey = 1 << 10 // bytes
)

func (s valueSets) share(values map[string]*string) map[string]*string {
	if values == nil {
		return nil
	}
	key := make([]byte, 0, 64)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key = strconv.AppendQuote(key, name)
		if v := values[name]; v != nil && len(*v) <= maxValueSetKey {
			key = strconv.AppendQuote(key, *v)
		} else if v != nil {
			return values
		}
		key = append(key, ',')
		if len(key) > maxValueSetKey {
			return values
		}
	}
	if known, ok := s[string(key)]; ok {
		return known
	}
	if len(s) < maxValueSets {
		s[string(key)] = values
	}
	return values
}

// apply plays one commit, or a whole checkpoint, on top of the state. The order of actions within a commit
// means nothing: removes go first, so that a file that is both removed and added is live.
func (s *state) apply(c Commit) {
	for _, r := range c.Removes {
		s.remove(r)
	}
	for _, a := range c.Adds {
		s.add(a)
	}
	if c.Protocol != nil {
		s.protocol = c.Protocol
	}
	if c.Metadata != nil {
		s.metadata = c.Metadata
	}
	for _, x := range c.Txns {
		s.txns[x.AppID] = x
	}
	for _, d := range c.Domains {
		if d.Removed {
			delete(s.domains, d.Domain)
		} else {
			s.domains[d.Domain] = d
		}
	}
}

func (s *state) add(a Add) {
	id := fileID(a.Path, a.DeletionVector.UniqueID())
	delete(s.removes, id)
	a.PartitionValues = s.values.share(a.PartitionValues)
	s.adds[id] = a
}

func (s *state) remove(r Remove) {
	id := fileID(r.Path, r.DeletionVector.UniqueID())
	delete(s.adds, id)
	r.Stats, r.Tags = "", nil // no reader asks a tombstone for them
	r.PartitionValues = s.values.share(r.PartitionValues)
	s.removes[id] = r
}

// snapshot checks a replayed state and makes it a Snapshot.
func (t *Table) snapshot(version int64, st *state) (*Snapshot, error) {
	wrong := func(err error) *fault.Fault {
		return fault.New(fault.InvalidInput, "read snapshot of", t.prefix, "version %d: %w", version, err)
	}
	refuse := func(err error) (*Snapshot, error) { return nil, wrong(err) }
	if st.protocol == nil {
		return refuse(errors.New("no protocol action in the log"))
	}
	if err := st.protocol.checkReadable(); err != nil {
		return nil, wrong(err).WithHint("this table needs a newer lakestep, or the feature dropped by the engine that set it")
	}
	if st.metadata == nil {
		return refuse(errors.New("no metaData action in the log"))
	}
	if p := st.metadata.Format.Provider; p != "" && p != "parquet" {
		return refuse(fmt.Errorf("data files are %q, not parquet", p))
	}
	schema, err := ParseSchema(st.metadata.SchemaString)
	if err != nil {
		return refuse(err)
	}
	if err := checkPartitionColumns(schema, st.metadata.PartitionColumns); err != nil {
		return refuse(err)
	}
	s := &Snapshot{table: t, version: version, protocol: *st.protocol, metadata: *st.metadata, schema: schema, state: st}
	if err := errors.Join(s.Mapping().check(schema), checkTypeChanges(schema)); err != nil {
		return refuse(err)
	}
	s.files = slices.AppendSeq(make([]Add, 0, len(st.adds)), maps.Values(st.adds))
	slices.SortFunc(s.files, func(a, b Add) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.DeletionVector.UniqueID(), b.DeletionVector.UniqueID()))
	})
	for _, a := range s.files {
		if s.size > math.MaxInt64-a.Size {
			return refuse(errors.New("the sum of all file sizes exceeds 2^63-1"))
		}
		s.size += a.Size
		if a.DeletionVector != nil && !s.protocol.has(featDeletionVecs) {
			return refuse(fmt.Errorf("file %q has a deletion vector, but the protocol lacks %s", a.Path, featDeletionVecs))
		}
	}
	return s, nil
}

// Empty is the table before its first commit (version -1), from which the creating transaction begins.
func (t *Table) Empty() *Snapshot {
	return &Snapshot{table: t, version: -1, state: newState()}
}

// With gives the snapshot as it would be if the actions were committed next, to audit a transaction before
// it is published. Its version is the next one, its timestamp that of s.
func (s *Snapshot) With(actions []Action) (*Snapshot, error) {
	c := Commit{}
	for _, a := range actions {
		c.take(a.wrap())
	}
	st := s.state.clone()
	st.apply(c)
	next, err := s.table.snapshot(s.version+1, st)
	if err != nil {
		return nil, err
	}
	next.timestamp, next.info = s.timestamp, c.Info
	return next, nil
}

// Version of the table; -1 for Empty.
func (s *Snapshot) Version() int64 { return s.version }

// Timestamp is the in-commit timestamp of the version if the table has them, else the modification time of
// the commit file (of the checkpoint, when only that is left).
func (s *Snapshot) Timestamp() time.Time { return s.timestamp }

// Metadata that holds at this version.
func (s *Snapshot) Metadata() Metadata { return s.metadata }

// Protocol that holds at this version.
func (s *Snapshot) Protocol() Protocol { return s.protocol }

// Schema of the table, partition columns included.
func (s *Snapshot) Schema() Schema { return s.schema }

// Files are the live data files, by path. The caller must not change the slice or what it holds.
func (s *Snapshot) Files() []Add { return s.files }

// NumFiles is the number of live files.
func (s *Snapshot) NumFiles() int { return len(s.files) }

// Size is the sum of the sizes of the live files, in bytes.
func (s *Snapshot) Size() int64 { return s.size }

// Txn is the version that the application last recorded. It is answered from all that the log still holds, also where
// delta.setTransactionRetentionDuration lets readers forget it: a forgotten one would let a batch in twice.
func (s *Snapshot) Txn(appID string) (version int64, ok bool) {
	x, ok := s.state.txns[appID]
	return x.Version, ok
}

// Txns are the recorded transaction identifiers, by application id. As in Spark, those are left out that are older than
// delta.setTransactionRetentionDuration or of unknown age, where the table has that property.
func (s *Snapshot) Txns() []SetTransaction {
	all := s.allTxns()
	text := s.metadata.Configuration[propTxnRetention]
	kept, ok := parseInterval(text)
	if text == "" || !ok {
		return all
	}
	since := s.table.now().Add(-kept).UnixMilli()
	return slices.DeleteFunc(all, func(x SetTransaction) bool { return x.LastUpdated == nil || *x.LastUpdated <= since })
}

func (s *Snapshot) allTxns() []SetTransaction {
	return slices.SortedFunc(maps.Values(s.state.txns), func(a, b SetTransaction) int { return strings.Compare(a.AppID, b.AppID) })
}

// Domain is the configuration under a metadata domain.
func (s *Snapshot) Domain(name string) (configuration string, ok bool) {
	d, ok := s.state.domains[name]
	return d.Configuration, ok
}

// Domains are all live metadata domains, by name.
func (s *Snapshot) Domains() []DomainMetadata {
	return slices.SortedFunc(maps.Values(s.state.domains), func(a, b DomainMetadata) int { return strings.Compare(a.Domain, b.Domain) })
}
