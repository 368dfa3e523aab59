package message

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// The bounds of what is kept of messages that could not be read.
const (
	maxText     = 64 << 10 // of one value
	maxBad      = 1000     // in memory; the rest goes to a file
	maxBadBytes = 4 << 20
)

// rejects keeps the messages that are no rows.
type rejects struct {
	dir   string
	bad   []connector.Bad
	bytes int
	count int64
	path  string // of the file; "" while there is none
	file  *os.File
	out   *csv.Writer
}

// add keeps a message with the reason why it is no row.
func (r *rejects) add(m *kgo.Record, why error) error {
	text, note := excerpt(m.Value)
	b := connector.Bad{Key: fmt.Sprintf("%s/%d/%d", m.Topic, m.Partition, m.Offset), Text: text, Error: cut(strings.ToValidUTF8(why.Error(), "\uFFFD"), 4000) + note}
	r.count++
	if r.file == nil && len(r.bad) < maxBad && r.bytes < maxBadBytes {
		r.bad = append(r.bad, b)
		r.bytes += len(b.Text)
		return nil
	}
	err := r.open()
	if err == nil {
		err = r.out.Write([]string{b.Key, "0", b.Text, b.Error})
	}
	return r.failed(err)
}

// excerpt gives a value as text, and says so when it is not the whole.
func excerpt(value []byte) (text, note string) {
	text = readable(value)
	if len(text) <= maxText {
		return text, ""
	}
	if isText := len(text) == len(value) && text == string(value); !isText {
		text = text[:maxText] // base64: a multiple of four
	} else {
		for text = text[:maxText]; !utf8.ValidString(text); text = text[:len(text)-1] {
		}
	}
	return text, fmt.Sprintf(" (only the beginning of the value is kept: it has %d bytes)", len(value))
}

func (r *rejects) open() (err error) {
	if r.file != nil {
		return nil
	}
	r.path = filepath.Join(r.dir, "rejected-messages.csv")
	if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	r.out = csv.NewWriter(r.file)
	return nil
}

// finish gives what was kept.
func (r *rejects) finish() (bad []connector.Bad, files []string, err error) {
	if r.file == nil {
		return r.bad, nil, nil
	}
	r.out.Flush()
	err = r.failed(errors.Join(r.out.Error(), r.file.Close()))
	r.file = nil
	return r.bad, []string{r.path}, err
}

// abort gives up what was kept. Behind finish it does nothing.
func (r *rejects) abort() {
	if r.file != nil {
		r.file.Close()
		os.Remove(r.path)
		r.file = nil
	}
}

func (r *rejects) failed(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Internal, "keep rejected messages", r.path, "%w", err)
}
