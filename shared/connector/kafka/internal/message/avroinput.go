package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// input is the rest of a binary Avro value, read piece by piece. The first error stays: readers go on with zero values, and who repeats
// something looks at err.
type input struct {
	b     []byte
	err   error
	depth int
	out   []byte // JSON text of this value: cells refer to it
}

func (in *input) begin(b []byte) { in.b, in.err, in.depth, in.out = b, nil, 0, in.out[:0] }

// end checks that the whole value was read.
func (in *input) end() error {
	if in.err == nil && len(in.b) > 0 {
		return fmt.Errorf("%d bytes are left behind the value", len(in.b))
	}
	return in.err
}

// The bounds of what one value may hold. Java's reader has such, too: a few bytes could else ask for any amount of memory.
const (
	maxDepth    = 500
	maxNothings = 4096 // items that take no bytes, in one array
)

var errShort = errors.New("the value ends too early")

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf(format, args...)
		in.b = nil
	}
}

func (in *input) short() {
	if in.err == nil {
		in.err, in.b = errShort, nil
	}
}

// deeper enters a nested value, and tells whether it may.
func (in *input) deeper() bool {
	if in.depth++; in.depth > maxDepth {
		in.fail("the value nests deeper than %d levels", maxDepth)
		return false
	}
	return true
}

func (in *input) long() int64 {
	if len(in.b) > 0 && in.b[0] < 0x80 {
		u := uint64(in.b[0])
		in.b = in.b[1:]
		return int64(u>>1) ^ -int64(u&1)
	}
	u, n := binary.Uvarint(in.b)
	switch {
	case n > 0:
		in.b = in.b[n:]
		return int64(u>>1) ^ -int64(u&1)
	case n < 0:
		in.fail("a number of more than 64 bits")
	default:
		in.short()
	}
	return 0
}

func (in *input) int() int64 {
	n := in.long()
	if n != int64(int32(n)) {
		in.fail("the int %d is out of range", n)
	}
	return n
}

// take gives the next n bytes.
func (in *input) take(n int64) []byte {
	switch {
	case n < 0:
		in.fail("a length of %d", n)
		return nil
	case n > int64(len(in.b)):
		in.short()
		return nil
	}
	b := in.b[:n:n]
	in.b = in.b[n:]
	return b
}

func (in *input) bytes() []byte { return in.take(in.long()) }

func (in *input) string() []byte {
	b := in.bytes()
	if !utf8.Valid(b) {
		in.fail("a string that is not UTF-8")
	}
	return b
}

func (in *input) bool() bool {
	b := in.take(1)
	if in.err == nil && b[0] > 1 {
		in.fail("the boolean %d", b[0])
	}
	return in.err == nil && b[0] == 1
}

func (in *input) float() float64 {
	if b := in.take(4); in.err == nil {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

func (in *input) double() float64 {
	if b := in.take(8); in.err == nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// index reads which of n branches or symbols it is.
func (in *input) index(what string, n int) int {
	i := in.long()
	if i < 0 || i >= int64(n) {
		in.fail("%s %d of %d", what, i, n)
		return 0
	}
	return int(i)
}

// blocks reads the blocks of an array or a map, and calls item for each of what they hold.
func (in *input) blocks(item func()) {
	nothings := int64(0)
	for in.err == nil {
		n := in.long()
		if n == 0 {
			return
		}
		if n < 0 { // the number of bytes follows, for those who want to skip them
			if n = -n; n < 0 || in.long() < 0 {
				in.fail("a block of negative length")
			}
		}
		for ; n > 0 && in.err == nil; n-- {
			before := len(in.b)
			item()
			if len(in.b) == before {
				if nothings++; nothings > maxNothings {
					in.fail("more than %d items that take no bytes", maxNothings)
				}
			}
		}
	}
}
