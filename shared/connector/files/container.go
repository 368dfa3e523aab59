package files

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/lakestep/lakestep/shared/connector/internal/avrorow"
)

// container reads an Avro object container file: a header with the schema, then blocks of records, each with the file's own marker behind it.
// Where a block is broken, the next marker tells where reading can go on.
type container struct {
	file     *os.File
	in       *bufio.Reader
	at       int64 // bytes read so far
	codec    *avrorow.Codec
	unpack   func(data []byte) ([]byte, error)
	marker   []byte
	raw      []byte
	expanded int64 // bytes of all blocks so far, each record one at least
}

// block is some records, binary. The data holds until the next block.
type block struct {
	at    int64 // where it begins
	count int64 // of records
	data  []byte
}

// maxBlock is the most that a block may hold, in bytes, as it stands and expanded. Writers begin a new one after some 64 KiB.
const maxBlock = 64 << 20

// maxHeader is the most that a header may hold, in bytes.
const maxHeader = 16 << 20

// brokenError is what is wrong with a part of the file.
type brokenError string

func (e brokenError) Error() string { return string(e) }

// newContainer reads the header. bad says why the file cannot be read at all.
func newContainer(file *os.File) (c *container, bad string) {
	c = &container{file: file, in: bufio.NewReaderSize(file, 1<<20)}
	magic, err := c.take(4)
	if err != nil || string(magic) != "Obj\x01" {
		return nil, "the file is no Avro object container file"
	}
	meta, err := c.metadata()
	if err != nil {
		return nil, "the file's header is broken: " + err.Error()
	}
	if c.marker, err = c.take(16); err != nil {
		return nil, "the file's header is broken: " + err.Error()
	}
	c.marker = bytes.Clone(c.marker)
	if c.unpack, err = unpacker(meta["avro.codec"]); err != nil {
		return nil, err.Error()
	}
	if c.codec, err = avrorow.New(meta["avro.schema"]); err != nil {
		return nil, "the file's schema: " + err.Error()
	}
	if len(c.codec.Columns()) == 0 {
		return nil, "the file's records have no fields"
	}
	return c, ""
}

// metadata reads the header's map of texts.
func (c *container) metadata() (map[string]string, error) {
	out := map[string]string{}
	for {
		n, err := c.long()
		if err != nil || n == 0 {
			return out, err
		}
		if n < 0 { // the size in bytes follows
			n = -n
			if _, err := c.long(); err != nil {
				return nil, err
			}
		}
		for ; n > 0; n-- {
			var pair [2]string
			for i := range pair {
				size, err := c.long()
				if err != nil {
					return nil, err
				}
				if size < 0 || size > maxHeader-c.at {
					return nil, fmt.Errorf("a text of %d bytes", size)
				}
				text, err := c.take(int(size))
				if err != nil {
					return nil, err
				}
				pair[i] = string(text)
			}
			out[pair[0]] = pair[1]
		}
	}
}

var errCut = errors.New("the file ends in the middle of it")

func (c *container) take(n int) ([]byte, error) {
	if cap(c.raw) < n {
		c.raw = make([]byte, n)
	}
	read, err := io.ReadFull(c.in, c.raw[:n])
	c.at += int64(read)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errCut
	}
	return c.raw[:n], err
}

// long reads a number of variable length.
func (c *container) long() (int64, error) {
	n, err := binary.ReadVarint(counted{c})
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return n, err
}

type counted struct{ c *container }

func (b counted) ReadByte() (byte, error) {
	x, err := b.c.in.ReadByte()
	if err == nil {
		b.c.at++
	}
	return x, err
}

// next gives the next block: a brokenError for one that cannot be used, behind which reading goes on; io.EOF at the end.
func (c *container) next() (block, error) {
	if _, err := c.in.Peek(1); err != nil {
		return block{}, err
	}
	bl := block{at: c.at}
	data, err := c.framed(&bl)
	if err != nil {
		return bl, c.resume(bl.at, err)
	}
	if bl.data, err = c.unpack(data); err != nil {
		return bl, brokenError(fmt.Sprintf("the block at byte %d is broken: %v; none of its %d records was taken", bl.at, err, bl.count))
	}
	c.expanded += max(int64(len(bl.data)), bl.count)
	return bl, nil
}

// framed reads a block as it stands.
func (c *container) framed(bl *block) (data []byte, err error) {
	if bl.count, err = c.long(); err != nil {
		return nil, err
	}
	size, err := c.long()
	switch {
	case err != nil:
		return nil, err
	case bl.count < 0 || size < 0:
		return nil, fmt.Errorf("it says that it has %d records in %d bytes", bl.count, size)
	case size > maxBlock:
		return nil, fmt.Errorf("it says that it has %d bytes, more than %d", size, maxBlock)
	}
	if data, err = c.take(int(size) + len(c.marker)); err != nil {
		return nil, err
	}
	if !bytes.Equal(data[size:], c.marker) {
		return nil, errors.New("the file's marker does not stand behind it")
	}
	return data[:size], nil
}

// resume looks for the first marker behind the place where a broken block begins, and goes on there.
func (c *container) resume(at int64, why error) error {
	if _, err := c.file.Seek(at, io.SeekStart); err != nil {
		return err
	}
	c.in.Reset(c.file)
	c.at = at
	for {
		chunk, err := c.in.Peek(c.in.Size())
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if i := bytes.Index(chunk, c.marker); i >= 0 {
			n, err := c.in.Discard(i + len(c.marker))
			c.at += int64(n)
			if err != nil {
				return err
			}
			return brokenError(fmt.Sprintf("the block at byte %d is broken: %v; none of it was taken, and reading goes on at byte %d", at, why, c.at))
		}
		skip := len(chunk) - len(c.marker) + 1
		if skip <= 0 || errors.Is(err, io.EOF) {
			skip = len(chunk)
		}
		n, derr := c.in.Discard(skip)
		c.at += int64(n)
		if derr != nil {
			return derr
		}
		if errors.Is(err, io.EOF) {
			return brokenError(fmt.Sprintf("the block at byte %d is broken: %v; nothing was taken from there to the end of the file", at, why))
		}
	}
}

// unpacker gives the way to expand blocks. What it gives holds until the next call.
func unpacker(codec string) (func([]byte) ([]byte, error), error) {
	var out []byte
	switch codec {
	case "", "null":
		return func(data []byte) ([]byte, error) { return data, nil }, nil
	case "deflate":
		r := flate.NewReader(nil)
		return func(data []byte) ([]byte, error) {
			if err := r.(flate.Resetter).Reset(bytes.NewReader(data), nil); err != nil {
				return nil, err
			}
			buf := bytes.NewBuffer(out[:0])
			n, err := buf.ReadFrom(io.LimitReader(r, maxBlock+1))
			out = buf.Bytes()
			return out, errors.Join(err, small(n))
		}, nil
	case "snappy":
		return func(data []byte) ([]byte, error) { return unsnap(&out, data) }, nil
	case "zstandard":
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderMaxWindow(maxBlock))
		return func(data []byte) ([]byte, error) {
			out, err = r.DecodeAll(data, out[:0])
			return out, err
		}, err
	}
	return nil, fmt.Errorf("the file's codec %q is none of null, deflate, snappy, zstandard", codec)
}

// unsnap expands a block of snappy, behind which stands the checksum of its content.
func unsnap(out *[]byte, data []byte) ([]byte, error) {
	if len(data) < 4 {
		return nil, errors.New("it is too short for its checksum")
	}
	body, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, err
	}
	if err := small(int64(n)); err != nil {
		return nil, err
	}
	if *out, err = snappy.Decode((*out)[:cap(*out)], body); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(*out) != sum {
		return nil, errors.New("its checksum is another")
	}
	return *out, nil
}

func small(expanded int64) error {
	if expanded > maxBlock {
		return fmt.Errorf("it expands to more than %d bytes", maxBlock)
	}
	return nil
}
