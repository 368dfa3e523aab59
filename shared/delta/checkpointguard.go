package delta

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Bounds of a Parquet file of the log. parquet-go allocates what a footer or a page header says before it looks at what
// is there, and a process that runs out of memory cannot refuse any more: so this is checked first.
const (
	maxFooter     = 64 << 20  // bytes
	maxItems      = 1 << 20   // structs in the lists of a footer: column chunks above all
	maxPageHeader = 1 << 20   // bytes
	maxPage       = 128 << 20 // bytes, decompressed
	maxPageValues = 1 << 26
	maxExpansion  = 1000 // times that the text of a file's actions may be longer than the file, beyond minBudget
	minBudget     = 64 << 20
)

// checkFooter compares the length that the footer gives for itself with the file's, and its lists with its length.
func checkFooter(source io.ReaderAt, size int64) error {
	var tail [8]byte // length, little-endian, and magic
	if size < int64(len(tail))+4 {
		return fmt.Errorf("%d bytes are no Parquet file", size)
	}
	if _, err := source.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("no Parquet file: its end is missing")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n > size-int64(len(tail)) || n > maxFooter {
		return fmt.Errorf("footer of %d bytes in a file of %d; at most %d are read", n, size, maxFooter)
	}
	footer := make([]byte, n)
	if _, err := source.ReadAt(footer, size-int64(len(tail))-n); err != nil {
		return err
	}
	w := thriftWalk{rest: footer}
	if err := w.value(thrift.STRUCT, 0); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	return nil
}

// checkPages looks at the header of each page of the wanted columns, and at what it decompresses to.
func checkPages(source io.ReaderAt, size int64, file *parquet.File, columns []int) error {
	if n := file.NumRows(); n > 8*size { // each has a path of its own
		return fmt.Errorf("%d rows in %d bytes", n, size)
	}
	for _, group := range file.Metadata().RowGroups {
		for _, c := range columns {
			if c >= len(group.Columns) {
				return errors.New("a row group lacks a column")
			}
			m := group.Columns[c].MetaData
			start := m.DataPageOffset
			if d := m.DictionaryPageOffset; d > 0 && d < start {
				start = d
			}
			if start < 4 || m.TotalCompressedSize < 0 || m.TotalCompressedSize > size-start {
				return fmt.Errorf("column %v: %d bytes at %d of %d", m.PathInSchema, m.TotalCompressedSize, start, size)
			}
			if err := checkChunk(io.NewSectionReader(source, start, m.TotalCompressedSize), m.Codec); err != nil {
				return fmt.Errorf("column %v: %w", m.PathInSchema, err)
			}
		}
	}
	return nil
}

func checkChunk(chunk *io.SectionReader, codec format.CompressionCodec) error {
	window := make([]byte, 4<<10)
	for at := int64(0); at < chunk.Size(); {
		n, err := chunk.ReadAt(window, at)
		if err != nil && err != io.EOF {
			return err
		}
		w := thriftWalk{rest: window[:n]}
		if err := w.value(thrift.STRUCT, 0); err != nil {
			if n == len(window) && n < maxPageHeader { // it may be longer: statistics are in it
				window = make([]byte, 4*len(window))
				continue
			}
			return fmt.Errorf("page header: %w", err)
		}
		length := int64(n - len(w.rest))
		var h format.PageHeader
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), window[:length], &h); err != nil {
			return fmt.Errorf("page header: %w", err)
		}
		compressed := int64(h.CompressedPageSize)
		if compressed < 0 || compressed > chunk.Size()-at-length || h.UncompressedPageSize < 0 || h.UncompressedPageSize > maxPage {
			return fmt.Errorf("page of %d bytes, %d decompressed, where %d are left; at most %d are read",
				compressed, h.UncompressedPageSize, chunk.Size()-at-length, maxPage)
		}
		values := max(h.DataPageHeader.V.NumValues, h.DataPageHeaderV2.V.NumValues, h.DataPageHeaderV2.V.NumRows)
		if values > maxPageValues || h.DictionaryPageHeader.V.NumValues > h.UncompressedPageSize {
			return fmt.Errorf("page of %d values, dictionary of %d", values, h.DictionaryPageHeader.V.NumValues)
		}
		if err := checkInflated(io.NewSectionReader(chunk, at+length, compressed), &h, codec); err != nil {
			return err
		}
		at += length + compressed
	}
	return nil
}

// checkInflated finds out what a page decompresses to: its header must not say more, and it must be bounded.
func checkInflated(page *io.SectionReader, h *format.PageHeader, codec format.CompressionCodec) error {
	claimed := int64(h.UncompressedPageSize)
	if v2 := h.DataPageHeaderV2; v2.Valid { // levels come first, and are not compressed
		levels := int64(v2.V.RepetitionLevelsByteLength) + int64(v2.V.DefinitionLevelsByteLength)
		if levels < 0 || levels > page.Size() {
			return errors.New("levels go beyond their page")
		}
		claimed -= levels
		if page = io.NewSectionReader(page, levels, page.Size()-levels); v2.V.IsCompressed.Valid && !v2.V.IsCompressed.V {
			codec = format.Uncompressed
		}
	}
	inflated, err := inflatedSize(page, codec)
	if err == nil && (inflated > maxPage || claimed > inflated) {
		err = fmt.Errorf("page of %d bytes, decompressed, of which its header says %d; at most %d are read", inflated, claimed, maxPage)
	}
	return err
}

// inflatedSize is what a page decompresses to, or more, in bytes. It reads no further than just beyond maxPage.
func inflatedSize(page *io.SectionReader, codec format.CompressionCodec) (int64, error) {
	if page.Size() == 0 {
		return 0, nil
	}
	var inflated io.Reader
	switch codec {
	case format.Zstd:
		d, err := zstd.NewReader(page, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxPage), zstd.WithDecoderLowmem(true))
		if err != nil {
			return 0, err
		}
		defer d.Close()
		inflated = d
	case format.Gzip:
		d, err := gzip.NewReader(page)
		if err != nil {
			return 0, err
		}
		inflated = d
	case format.Brotli:
		inflated = brotli.NewReader(page)
	case format.Snappy:
		var head [binary.MaxVarintLen64]byte
		n, _ := page.ReadAt(head[:], 0)
		size, _ := binary.Uvarint(head[:n])
		return int64(min(size, uint64(64*page.Size()))), nil // three bytes stand for 64 at most
	case format.Uncompressed:
		return page.Size(), nil
	default: // LZ4
		return min(255*page.Size(), maxPage), nil
	}
	return io.Copy(io.Discard, io.LimitReader(inflated, maxPage+1))
}

// thriftWalk walks Thrift's compact protocol without building anything, to see that the lengths in it can be true.
type thriftWalk struct {
	rest  []byte
	items int
}

var errThrift = errors.New("a length goes beyond what is there")

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.rest)) {
		return errThrift
	}
	w.rest = w.rest[n:]
	return nil
}

func (w *thriftWalk) byte() (byte, error) {
	if len(w.rest) == 0 {
		return 0, errThrift
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b, nil
}

func (w *thriftWalk) varint() (uint64, error) {
	n, used := binary.Uvarint(w.rest)
	if used <= 0 {
		return 0, errThrift
	}
	w.rest = w.rest[used:]
	return n, nil
}

// value walks one value of a type; booleans stand in the field's header or, in lists, in a byte.
func (w *thriftWalk) value(t thrift.Type, depth int) error {
	if depth > 32 {
		return errors.New("nested too deep")
	}
	switch t {
	case thrift.TRUE, thrift.FALSE, thrift.I8:
		return w.skip(1)
	case thrift.I16, thrift.I32, thrift.I64:
		_, err := w.varint()
		return err
	case thrift.DOUBLE:
		return w.skip(8)
	case thrift.BINARY:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thrift.LIST, thrift.SET:
		return w.list(depth)
	case thrift.STRUCT:
		return w.fields(depth)
	}
	return fmt.Errorf("unexpected Thrift type %d", t) // maps, which Parquet does not have
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n, t := uint64(head>>4), thrift.Type(head&15)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.rest)) { // each item takes a byte at least
		return errThrift
	}
	if t == thrift.STRUCT || t == thrift.LIST || t == thrift.BINARY {
		if w.items += int(n); w.items > maxItems {
			return fmt.Errorf("more than %d items", maxItems)
		}
	}
	for range n {
		if err := w.value(t, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *thriftWalk) fields(depth int) error {
	for {
		head, err := w.byte()
		if err != nil {
			return err
		}
		t := thrift.Type(head & 15)
		if t == 0 {
			return nil
		}
		if head>>4 == 0 { // the field's number follows
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if t == thrift.TRUE || t == thrift.FALSE {
			continue
		}
		if err := w.value(t, depth+1); err != nil {
			return err
		}
	}
}
