package delta

// Isolation is how much a transaction minds what was committed since it read (DELTA's isolation levels). What it removes
// itself, metadata, protocol, domains and application ids are guarded at every level.
type Isolation string

// The levels, from strict to lax.
const (
	// Serializable: as if all commits had been made one after the other, in the order of their versions. The default.
	Serializable Isolation = "Serializable"
	// WriteSerializable: as if in some order. A blind append that came first may count as coming later.
	WriteSerializable Isolation = "WriteSerializable"
	// SnapshotIsolation: rows added meanwhile do not matter. Only for transactions that rearrange rows, dataChange=false.
	SnapshotIsolation Isolation = "SnapshotIsolation"
)

// readSet is what the outcome of the transaction depends on.
type readSet struct {
	Mode       readMode    `json:"mode"`
	Files      []fileRef   `json:"files,omitempty"`
	Predicates []Predicate `json:"predicates,omitempty"` // rows that match one of them were looked for
	Apps       []string    `json:"apps,omitempty"`       // whose transaction identifiers were looked at
	Isolation  Isolation   `json:"isolation,omitempty"`  // "" is the default
}

type readMode string

const (
	readAll     readMode = "all" // the default: safe when nothing is said
	readSome    readMode = "files"
	readNothing readMode = "nothing"
)

// fileRef names a file of the log.
type fileRef struct {
	Path string `json:"path"`
	DV   string `json:"dv,omitempty"`
}

// ReadNothing declares that the outcome would be the same whatever the table holds: no row, file or predicate was
// looked at. With adds only it makes the commit a blind append.
func (x *Txn) ReadNothing() *Txn { return x.read(readNothing) }

// ReadAll declares that the outcome depends on the whole table.
func (x *Txn) ReadAll() *Txn { return x.read(readAll) }

// ReadWhere declares that rows matching p were looked for, and that of all files only these were found to matter: new files
// that may hold matching rows are a conflict, and so is the loss of one of the files. Several calls add up.
func (x *Txn) ReadWhere(p Predicate, files ...Add) *Txn {
	x.ReadFiles(files...)
	x.reads.Predicates = append(x.reads.Predicates, p)
	return x
}

// ReadFiles declares that the outcome depends on these files only, whatever else is in the table: compaction
// is such a case; a merge, whose key may be in any new file, is not. Several calls add up.
func (x *Txn) ReadFiles(files ...Add) *Txn {
	if x.reads.Mode != readSome {
		x.read(readSome)
	}
	for _, f := range files {
		x.reads.Files = append(x.reads.Files, fileRef{f.Path, f.DeletionVector.UniqueID()})
	}
	return x
}

// ReadTxn declares that the outcome depends on the version which the application recorded (Snapshot.Txn).
func (x *Txn) ReadTxn(appID string) *Txn {
	x.reads.Apps = append(x.reads.Apps, appID)
	return x
}

// Isolate sets the isolation level. A table that has delta.isolationLevel=Serializable is never treated more laxly than
// that, but for rearranging rows under SnapshotIsolation, which changes none.
func (x *Txn) Isolate(level Isolation) *Txn {
	x.reads.Isolation = level
	return x
}

// read starts the read set of files and predicates anew.
func (x *Txn) read(mode readMode) *Txn {
	x.reads.Mode, x.reads.Files, x.reads.Predicates = mode, nil, nil
	return x
}

// isolation is the level that holds on a table with these properties.
func (x *Txn) isolation(configuration map[string]string) Isolation {
	switch {
	case x.reads.Isolation == "":
		return Serializable
	case x.reads.Isolation == WriteSerializable && configuration[propIsolation] == string(Serializable):
		return Serializable
	}
	return x.reads.Isolation
}
