package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

const (
	// maxVector bounds the data of one deletion vector, in bytes: enough for two thousand million rows that no
	// compression helps with.
	maxVector     = 256 << 20
	vectorVersion = 1 // first byte of a file of deletion vectors
)

// DeletedRows reads a deletion vector (protocol, "Deletion Vectors"): the rows of its file that are no longer there.
// It is the empty set for nil. A vector that is missing (SourceLost), damaged, or not the one that the log means
// (InvalidInput) is an error, never an empty set.
func (t *Table) DeletedRows(ctx context.Context, dv *DeletionVector) (*RowSet, error) {
	if dv == nil {
		return &RowSet{}, nil
	}
	object := "deletion vector " + dv.UniqueID() + " of " + t.prefix
	refuse := func(err error) (*RowSet, error) {
		return nil, fault.New(fault.InvalidInput, "read", object, "%w", err).
			WithHint("without it the deleted rows would come back; restore the file from a backup or an earlier object version")
	}
	if dv.SizeInBytes > maxVector {
		return refuse(fmt.Errorf("it has %d bytes; at most %d are read", dv.SizeInBytes, maxVector))
	}
	var data []byte
	var err error
	if dv.StorageType == "i" {
		data, err = inlineVector(dv)
	} else {
		var key string
		if key, err = t.VectorKey(dv); err != nil {
			return nil, err
		}
		object = "deletion vector " + key
		data, err = t.storedVector(ctx, key, dv)
	}
	var damaged *corruptError
	switch {
	case errors.As(err, &damaged):
		return refuse(err)
	case errors.Is(err, store.ErrNotFound):
		return nil, fault.New(fault.SourceLost, "read", object, "%w", err).
			WithHint("another program removed it (a VACUUM that kept too little): restore it from a backup")
	case err != nil:
		return nil, err
	}
	set, err := decodeRowSet(data)
	if err != nil {
		return refuse(err)
	}
	if n := set.Len(); n != uint64(dv.Cardinality) {
		return refuse(fmt.Errorf("it holds %d rows, but the log says %d", n, dv.Cardinality))
	}
	return set, nil
}

// VectorKey is the store key of the file that holds a deletion vector; "" for one that stands in the log itself.
func (t *Table) VectorKey(dv *DeletionVector) (string, error) {
	switch dv.StorageType {
	case "i":
		return "", nil
	case "p":
		return t.fileKey(dv.PathOrInlineDV)
	}
	cut := len(dv.PathOrInlineDV) - z85UUID
	if cut < 0 {
		return "", fault.New(fault.InvalidInput, "locate deletion vector of", t.prefix, "%q names no UUID", dv.PathOrInlineDV)
	}
	prefix := dv.PathOrInlineDV[:cut]
	raw, err := decodeZ85(dv.PathOrInlineDV[cut:])
	if err == nil && len(raw) != len(uuid.UUID{}) {
		err = fmt.Errorf("%d bytes are no UUID", len(raw))
	}
	if err != nil {
		return "", fault.New(fault.InvalidInput, "locate deletion vector of", t.prefix, "%q: %w", dv.PathOrInlineDV, err)
	}
	name := "deletion_vector_" + uuid.UUID(raw).String() + ".bin"
	if prefix != "" {
		name = prefix + "/" + name
	}
	if _, err := relativePath(EncodePath(name)); err != nil {
		return "", fault.New(fault.InvalidInput, "locate deletion vector of", t.prefix, "%q: %w", dv.PathOrInlineDV, err)
	}
	return t.key(name), nil
}

func inlineVector(dv *DeletionVector) ([]byte, error) {
	data, err := decodeZ85(dv.PathOrInlineDV)
	if err != nil {
		return nil, &corruptError{err}
	}
	if dv.Offset != nil || int(dv.SizeInBytes) > len(data) || int(dv.SizeInBytes) <= len(data)-4 {
		return nil, &corruptError{fmt.Errorf("inline with %d bytes, but the log says %d", len(data), dv.SizeInBytes)}
	}
	return data[:dv.SizeInBytes], nil
}

// storedVector reads and verifies one deletion vector in its file: size, data, checksum.
func (t *Table) storedVector(ctx context.Context, key string, dv *DeletionVector) ([]byte, error) {
	offset := int64(1) // behind the version: a file's only vector may go without an offset
	if dv.Offset != nil {
		offset = int64(*dv.Offset)
	}
	corrupt := func(format string, args ...any) ([]byte, error) {
		return nil, &corruptError{fmt.Errorf(format, args...)}
	}
	file, err := t.store.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset < 1 || offset+8+int64(dv.SizeInBytes) > file.Size {
		return corrupt("offset %d and %d bytes do not fit into a file of %d", offset, dv.SizeInBytes, file.Size)
	}
	version, err := t.readRange(ctx, key, store.Range{Length: 1})
	if err != nil {
		return nil, err
	}
	if version[0] != vectorVersion {
		return corrupt("file version %d is unknown", version[0])
	}
	framed, err := t.readRange(ctx, key, store.Range{Offset: offset, Length: 8 + int64(dv.SizeInBytes)})
	if err != nil {
		return nil, err
	}
	data, sum := framed[4:len(framed)-4], binary.BigEndian.Uint32(framed[len(framed)-4:])
	if size := binary.BigEndian.Uint32(framed); size != uint32(dv.SizeInBytes) {
		return corrupt("it has %d bytes, but the log says %d", size, dv.SizeInBytes)
	}
	if crc32.ChecksumIEEE(data) != sum {
		return corrupt("the checksum is wrong")
	}
	return data, nil
}

// readRange reads exactly the range.
func (t *Table) readRange(ctx context.Context, key string, r store.Range) ([]byte, error) {
	body, err := t.store.Open(ctx, key, r)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data := make([]byte, r.Length)
	_, err = io.ReadFull(body, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = &corruptError{errors.New("the file ends too early")}
	}
	return data, err
}

// WriteDeletionVectors writes the sets into one new file, in their order, and gives what the log says of each. The
// attempt is in the file's name, as in those of data files.
func (t *Table) WriteDeletionVectors(ctx context.Context, attempt int64, sets []*RowSet) ([]DeletionVector, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	internal := func(err error) ([]DeletionVector, error) {
		return nil, fault.New(fault.Internal, "write deletion vectors of", t.prefix, "%w", err)
	}
	id, err := uuid.Parse(t.newID())
	if err != nil {
		return internal(err)
	}
	binary.BigEndian.PutUint64(id[:8], uint64(attempt))
	out := make([]DeletionVector, len(sets))
	file := bytes.NewBuffer([]byte{vectorVersion})
	for i, set := range sets {
		data, err := set.encode()
		if err != nil {
			return internal(err)
		}
		if len(data) > maxVector || file.Len()+len(data) > math.MaxInt32 {
			return nil, fault.New(fault.InvalidInput, "write deletion vectors of", t.prefix, "%d rows need more than %d bytes", set.Len(), maxVector).
				WithHint("delete less at once, or rewrite the files")
		}
		out[i] = DeletionVector{StorageType: "u", PathOrInlineDV: encodeZ85(id), Offset: ptr(int32(file.Len())),
			SizeInBytes: int32(len(data)), Cardinality: int64(set.Len())}
		file.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		file.Write(data)
		file.Write(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)))
	}
	key, err := t.VectorKey(&out[0])
	if err != nil {
		return nil, err
	}
	if err := t.store.Put(ctx, key, bytes.NewReader(file.Bytes()), store.PutOptions{IfAbsent: true}); err != nil {
		return nil, err
	}
	return out, nil
}

// z85Digits are the digits of Z85 (ZeroMQ RFC 32), which writes four bytes as five characters; z85UUID are those of a UUID.
const (
	z85Digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
	z85UUID   = 20
)

var z85Values = func() (values [256]int8) {
	for i := range values {
		values[i] = -1
	}
	for i, c := range []byte(z85Digits) {
		values[c] = int8(i)
	}
	return values
}()

func encodeZ85(id uuid.UUID) string {
	var out []byte
	for i := 0; i < len(id); i += 4 {
		group, n := make([]byte, 5), binary.BigEndian.Uint32(id[i:])
		for k := 4; k >= 0; k-- {
			group[k], n = z85Digits[n%85], n/85
		}
		out = append(out, group...)
	}
	return string(out)
}

// decodeZ85 reads Z85, and the end that delta-kernel-rs gives to bytes that do not fill their last group: n of them are n+1 digits behind as
// many "#" as make five. Plain Z85 has no group that begins with "#".
func decodeZ85(text string) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, fmt.Errorf("%d characters are no Z85 text", len(text))
	}
	out := make([]byte, 0, len(text)/5*4)
	for i := 0; i < len(text); i += 5 {
		var n uint64
		group := text[i : i+5]
		if i+5 == len(text) {
			group = strings.TrimLeft(group, "#")
		}
		for _, c := range []byte(group) {
			if z85Values[c] < 0 {
				return nil, fmt.Errorf("character %q is no Z85 digit", c)
			}
			n = n*85 + uint64(z85Values[c])
		}
		size := len(group) - 1 // bytes
		if size < 1 || n >= 1<<(8*size) {
			return nil, fmt.Errorf("%q is no Z85 group", text[i:i+5])
		}
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], uint32(n))
		out = append(out, four[4-size:]...)
	}
	return out, nil
}
