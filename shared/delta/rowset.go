package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// RowSet is a set of rows of one data file, by their physical position from 0. The zero value is empty and ready; a
// nil *RowSet reads as empty. It is not safe for concurrent writing.
type RowSet struct{ rows roaring64.Bitmap }

// Add puts a row into the set.
func (s *RowSet) Add(row uint64) { s.rows.Add(row) }

// Contains tells whether the row is in the set.
func (s *RowSet) Contains(row uint64) bool { return s != nil && s.rows.Contains(row) }

// Len is the number of rows.
func (s *RowSet) Len() uint64 {
	if s == nil {
		return 0
	}
	return s.rows.GetCardinality()
}

// Max is the last row; ok is false for an empty set.
func (s *RowSet) Max() (row uint64, ok bool) {
	if s.Len() == 0 {
		return 0, false
	}
	return s.rows.Maximum(), true
}

// All are the rows in ascending order.
func (s *RowSet) All() iter.Seq[uint64] {
	if s == nil {
		return func(func(uint64) bool) {}
	}
	return roaring64.Values(&s.rows)
}

// Union gives the rows that are in either set.
func (s *RowSet) Union(other *RowSet) *RowSet {
	out := s.clone()
	if other != nil {
		out.rows.Or(&other.rows)
	}
	return out
}

// Minus gives the rows of s that are not in other.
func (s *RowSet) Minus(other *RowSet) *RowSet {
	out := s.clone()
	if other != nil {
		out.rows.AndNot(&other.rows)
	}
	return out
}

func (s *RowSet) clone() *RowSet {
	out := &RowSet{}
	if s != nil {
		out.rows.Or(&s.rows)
	}
	return out
}

// bitmapMagic begins the data of a deletion vector (protocol, "Deletion Vector Format").
const bitmapMagic = 1681511377

// encode is the data of a deletion vector: magic, then a portable 64-bit roaring bitmap.
func (s *RowSet) encode() ([]byte, error) {
	out := s.clone()
	out.rows.RunOptimize()
	body, err := out.rows.ToPortableBytes()
	return append(binary.LittleEndian.AppendUint32(nil, bitmapMagic), body...), err
}

// decodeRowSet is the reverse. What it allocates is bounded by what data really holds, whatever data claims.
func decodeRowSet(data []byte) (*RowSet, error) {
	if len(data) < 4 {
		return nil, errors.New("it is too short")
	}
	if magic := binary.LittleEndian.Uint32(data); magic != bitmapMagic {
		return nil, fmt.Errorf("magic number %d, want %d", magic, bitmapMagic)
	}
	var s RowSet
	body := bytes.NewReader(data[4:])
	if _, err := s.rows.ReadPortableFrom(body); err != nil {
		return nil, err
	}
	if body.Len() > 0 {
		return nil, fmt.Errorf("%d bytes follow the bitmap", body.Len())
	}
	if s.rows.IsEmpty() { // which Validate calls an error
		return &s, nil
	}
	if err := s.rows.Validate(); err != nil {
		return nil, err
	}
	if last := s.rows.Maximum(); last > math.MaxInt64 {
		return nil, fmt.Errorf("row %d is beyond what a file can hold", last)
	}
	return &s, nil
}
