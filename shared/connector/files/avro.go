package files

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/avrorow"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// addAvro decodes an object container file into typed rows. A block that is broken goes to the bad lines, those around it are taken; of a
// file whose header cannot be read nothing is.
func (b *builder) addAvro(ctx context.Context, path string, it connector.Item) error {
	file, err := reopen(it.Key, path)
	if err != nil {
		return err
	}
	defer file.Close()
	c, bad := newContainer(file)
	if bad != "" {
		b.refuse(it.Key, bad)
		return nil
	}
	dir := b.temp("avro")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fault.New(fault.Internal, "convert", it.Key, "%w", err)
	}
	a := &avroFile{key: it.Key, container: c, spool: spool.New(dir, it.Key), bad: &badLines{key: it.Key, path: b.temp("bad.csv")}, sample: b.sample,
		limit: max(b.limit.Bytes, minLimit, it.Size*maxRatio)}
	defer a.spool.Abort()
	defer a.bad.abort()
	why, err := a.read(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		b.refuse(it.Key, why)
		return nil
	}
	b.bytes += max(0, c.expanded-it.Size)
	return b.take(a, it)
}

// take gives what was read of a file to the page.
func (b *builder) take(a *avroFile, it connector.Item) error {
	if err := a.bad.close(); err != nil {
		return err
	}
	if a.bad.n > 0 {
		b.page.BadFiles = append(b.page.BadFiles, a.bad.path)
	}
	parts, err := a.spool.Parts()
	if err != nil {
		return err
	}
	shape := ""
	b.types = nil
	for _, c := range a.container.codec.Columns() {
		b.types = append(b.types, c.Type.String())
		shape += c.Type.String() + ";"
	}
	for _, p := range parts {
		for _, f := range p.Files {
			f.Item = it
			b.part(shape, p, f)
		}
	}
	return nil
}

// avroFile is one file on its way into a spool.
type avroFile struct {
	key       string
	container *container
	spool     *spool.Spool
	bad       *badLines
	sample    int64 // rows that are enough; 0: all
	limit     int64 // bytes that the file may hold when it is expanded

	rows  *spool.Rows
	check *avrorow.Row // reads a block before any row of it is taken
	row   *avrorow.Row
	n     int64
}

// read takes the file's blocks; why says that the file as a whole cannot be taken.
func (a *avroFile) read(ctx context.Context) (why string, err error) {
	codec := a.container.codec
	a.rows = a.spool.Builder(codec.Columns())
	a.check, a.row = codec.Row(nil, 0), codec.Row(a.rows, 0)
	for a.sample == 0 || a.n < a.sample {
		if ctx.Err() != nil {
			return "", fault.New(fault.Unavailable, "read", a.key, "%w", ctx.Err())
		}
		block, err := a.container.next()
		var broken brokenError
		switch {
		case errors.Is(err, io.EOF):
			return "", a.rows.Flush()
		case errors.As(err, &broken):
			err = a.bad.add("", broken.Error())
		case err != nil:
			err = fault.New(fault.Unavailable, "read", a.key, "%w", err)
		case a.container.expanded > a.limit:
			return tooMuch(a.limit), nil
		default:
			err = a.block(block)
		}
		if err != nil {
			return "", err
		}
	}
	return "", a.rows.Flush()
}

// block takes the rows of a block, if all of it can be read. A value that is not valid is rejected on its own.
func (a *avroFile) block(bl block) error {
	if why := a.whole(bl); why != "" {
		return a.bad.add("", fmt.Sprintf("the block at byte %d is broken: %s; none of its %d records was taken", bl.at, why, bl.count))
	}
	rest := bl.data
	for i := range bl.count {
		if a.sample > 0 && a.n == a.sample {
			break
		}
		before := rest
		var err error
		if rest, err = a.row.Decode(rest); err != nil {
			why := fmt.Sprintf("record %d of the block at byte %d: %v; it is given in base64", i+1, bl.at, err)
			if err := a.bad.add(base64.StdEncoding.EncodeToString(before[:min(len(before)-len(rest), maxText/2)]), why); err != nil {
				return err
			}
			continue
		}
		a.row.Append()
		a.n++
		if err := a.rows.Next(); err != nil {
			return err
		}
	}
	return nil
}

// maxNothings is how many records of a block may take no bytes.
const maxNothings = 1 << 20

// whole tells why a block cannot be read to its end.
func (a *avroFile) whole(bl block) string {
	rest, nothings := bl.data, 0
	for i := range bl.count {
		before := len(rest)
		var err error
		var invalid avrorow.InvalidError
		if rest, err = a.check.Decode(rest); err != nil && !errors.As(err, &invalid) {
			return fmt.Sprintf("record %d: %v", i+1, err)
		}
		if len(rest) == before {
			if nothings++; nothings > maxNothings {
				return fmt.Sprintf("more than %d records that take no bytes", maxNothings)
			}
		}
	}
	if len(rest) > 0 {
		return fmt.Sprintf("%d bytes are left behind its records", len(rest))
	}
	return ""
}

// badLines is a file of what could not be read.
type badLines struct {
	key, path string
	n         int64
	file      *os.File
	to        *csv.Writer
}

func (b *badLines) add(text, why string) error {
	if b.file == nil {
		f, err := os.Create(b.path)
		if err != nil {
			return fault.New(fault.Internal, "convert", b.key, "%w", err)
		}
		b.file, b.to = f, csv.NewWriter(f)
	}
	b.n++
	if err := b.to.Write([]string{b.key, strconv.Itoa(0), text, why}); err != nil {
		return fault.New(fault.Internal, "convert", b.key, "%w", err)
	}
	return nil
}

// abort leaves the file as it is. After close it does nothing.
func (b *badLines) abort() {
	if b.file != nil {
		b.file.Close()
	}
}

// close writes out what is left.
func (b *badLines) close() error {
	if b.file == nil {
		return nil
	}
	b.to.Flush()
	err := errors.Join(b.to.Error(), b.file.Close())
	b.file = nil
	if err != nil {
		return fault.New(fault.Internal, "convert", b.key, "%w", err)
	}
	return nil
}
