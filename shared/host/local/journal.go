package local

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
)

// A journal is a file of JSON lines: a header, then one line for each event in the order in which the run
// learnt of them, then the outcome. A line counts once it is synced to disk, newline included; nothing is done
// on the strength of an event before that. A crash can therefore tear the last line only, and a torn line has
// had no effect: it is cut off.
const journalVersion = 1

// header is the first line. It holds the whole definition, so that a run ends on the text it began with.
type header struct {
	Journal    int             `json:"journal"` // journalVersion
	ID         string          `json:"id"`
	Start      time.Time       `json:"start"`
	Input      json.RawMessage `json:"input"`
	File       string          `json:"file"` // the definition's name in messages
	SHA256     string          `json:"sha256"`
	Definition string          `json:"definition"`
}

// line is any line after the header; exactly one field is set.
type line struct {
	Event   *asl.Event `json:"event,omitempty"`
	Outcome *Outcome   `json:"outcome,omitempty"`
}

// record is a journal as read back.
type record struct {
	header  header
	events  []asl.Event
	outcome *Outcome
	good    int64 // bytes up to the end of the last whole line
}

var errNoHeader = errors.New("the journal has no whole header line")

// readJournal reads up to the last whole line. errNoHeader says that the run had not begun.
func readJournal(path string) (*record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64*1024)
	rec := &record{}
	var torn error
	for n := 1; ; n++ {
		text, err := r.ReadBytes('\n')
		if err == io.EOF { // without a newline: torn, or nothing
			if n == 1 || n == 2 && torn != nil {
				return nil, errNoHeader
			}
			return rec, nil
		}
		if err != nil {
			return nil, err
		}
		if torn != nil { // a damaged line that is not the last is no torn write
			return nil, torn
		}
		if err := rec.add(n, text); err != nil {
			torn = fault.New(fault.InvalidInput, "read journal", fmt.Sprintf("%s:%d", filepath.Base(path), n), "%w", err).
				WithHint("the journal was changed or its disk is damaged; start the pipeline with a new run, which is safe to repeat")
			continue
		}
		rec.good += int64(len(text))
	}
}

func (rec *record) add(n int, text []byte) error {
	if n == 1 {
		return rec.addHeader(text)
	}
	var l line
	if err := strictJSON(text, &l); err != nil {
		return err
	}
	switch {
	case rec.outcome != nil:
		return errors.New("a line follows the outcome")
	case l.Event != nil && l.Outcome == nil:
		rec.events = append(rec.events, *l.Event)
	case l.Outcome != nil && l.Event == nil:
		rec.outcome = l.Outcome
	default:
		return errors.New("the line is neither an event nor the outcome")
	}
	return nil
}

func (rec *record) addHeader(text []byte) error {
	h := &rec.header
	if err := strictJSON(text, h); err != nil {
		return err
	}
	if h.Journal != journalVersion {
		return fmt.Errorf("journal format %d; this program reads format %d", h.Journal, journalVersion)
	}
	if h.SHA256 != digest([]byte(h.Definition)) {
		return errors.New("the definition in the header does not have the digest beside it")
	}
	return nil
}

func strictJSON(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("unexpected text after the JSON value")
	}
	return nil
}

func digest(definition []byte) string {
	sum := sha256.Sum256(definition)
	return hex.EncodeToString(sum[:])
}

// journal is open for appending, and locked against other processes.
type journal struct {
	file *os.File
	lock *flock.Flock
}

// The id is a file name, also on Windows.
func validID(id string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`).MatchString(id) && len(id) <= 128
}

func journalPath(dir, id string) string { return filepath.Join(dir, id+".jsonl") }

// lockJournal makes sure that one process at a time works on an execution.
func lockJournal(dir, id string) (*flock.Flock, error) {
	if !validID(id) {
		return nil, fault.New(fault.InvalidInput, "open journal", id, "the execution id is no plain name").
			WithHint("use letters, digits, dots, dashes and underscores, at most 128")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.New(fault.Unavailable, "open journal", id, "%w", err)
	}
	lock := flock.New(filepath.Join(dir, id+".lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fault.New(fault.Unavailable, "lock journal", id, "%w", err)
	}
	if !ok {
		return nil, fault.New(fault.InvalidInput, "lock journal", id, "another process is running this execution").
			WithHint("wait until it has ended")
	}
	return lock, nil
}

// createJournal begins an execution. A file without a whole header is what a crash left before the run began,
// and is replaced.
func createJournal(dir string, h header) (*journal, error) {
	lock, err := lockJournal(dir, h.ID)
	if err != nil {
		return nil, err
	}
	path := journalPath(dir, h.ID)
	if _, err := readJournal(path); !errors.Is(err, errNoHeader) && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fault.New(fault.InvalidInput, "start", h.ID, "an execution with this id exists").
			WithHint("resume it, or start with another id"), lock.Unlock())
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, errors.Join(fault.New(fault.Unavailable, "create journal", h.ID, "%w", err), lock.Unlock())
	}
	j := &journal{file, lock}
	if err := j.append(h); err != nil {
		return nil, errors.Join(err, j.close())
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(fault.New(fault.Unavailable, "create journal", h.ID, "%w", err), j.close())
	}
	return j, nil
}

// openJournal goes on with an execution; the torn end of the file, if any, is cut off.
func openJournal(dir, id string) (*journal, *record, error) {
	if _, err := os.Stat(journalPath(dir, id)); validID(id) && errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.New(fault.InvalidInput, "resume", id, "there is no execution with this id").
			WithHint("check the id; a run says it when it stops")
	}
	lock, err := lockJournal(dir, id)
	if err != nil {
		return nil, nil, err
	}
	rec, err := readJournal(journalPath(dir, id))
	if err != nil {
		return nil, nil, errors.Join(openFault(id, err), lock.Unlock())
	}
	file, err := os.OpenFile(journalPath(dir, id), os.O_WRONLY, 0)
	if err != nil {
		return nil, nil, errors.Join(openFault(id, err), lock.Unlock())
	}
	j := &journal{file, lock}
	if err := file.Truncate(rec.good); err != nil {
		return nil, nil, errors.Join(openFault(id, err), j.close())
	}
	if _, err := file.Seek(rec.good, io.SeekStart); err != nil {
		return nil, nil, errors.Join(openFault(id, err), j.close())
	}
	return j, rec, nil
}

func openFault(id string, err error) error {
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return err
	case err == errNoHeader: //nolint:errorlint // readJournal returns it as it is
		return fault.New(fault.InvalidInput, "resume", id, "%w: the execution had not begun", err).WithHint("start it again")
	}
	return fault.New(fault.Unavailable, "open journal", id, "%w", err)
}

// append writes the lines and syncs them.
func (j *journal) append(lines ...any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return fault.New(fault.Internal, "write journal", j.file.Name(), "%w", err)
		}
	}
	if _, err := j.file.Write(buf.Bytes()); err != nil {
		return fault.New(fault.Unavailable, "write journal", j.file.Name(), "%w", err).WithHint("free disk space, then resume the run")
	}
	if err := j.file.Sync(); err != nil {
		return fault.New(fault.Unavailable, "sync journal", j.file.Name(), "%w", err)
	}
	return nil
}

func (j *journal) close() error { return errors.Join(j.file.Close(), j.lock.Unlock()) }
