package postgres

import (
	"math"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// text gives bytes as a string without a copy: for functions that do not keep it.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseInt reads a whole number as the server prints it.
func parseInt(b []byte) (n int64, ok bool) {
	digits, negative := b, false
	if len(b) > 0 && b[0] == '-' {
		digits, negative = b[1:], true
	}
	if len(digits) == 0 || len(digits) > 18 {
		n, err := strconv.ParseInt(text(b), 10, 64)
		return n, err == nil
	}
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if negative {
		n = -n
	}
	return n, true
}

func parseInt32(b []byte) (int32, bool) {
	n, ok := parseInt(b)
	return int32(n), ok && n >= math.MinInt32 && n <= math.MaxInt32
}

func parseInt16(b []byte) (int16, bool) {
	n, ok := parseInt(b)
	return int16(n), ok && n >= math.MinInt16 && n <= math.MaxInt16
}

func parseBool(b []byte) (v, ok bool) {
	return len(b) == 1 && b[0] == 't', len(b) == 1 && (b[0] == 't' || b[0] == 'f')
}

// parseDouble reads a number, NaN or an infinity. The server prints the shortest text that is read as the same number again.
func parseDouble(b []byte) (float64, bool) {
	f, err := strconv.ParseFloat(text(b), 64)
	return f, err == nil
}

func parseFloat(b []byte) (float32, bool) {
	f, err := strconv.ParseFloat(text(b), 32)
	return float32(f), err == nil
}

// maxPrecision is the most digits that a Delta decimal has.
const maxPrecision = 38

// decimalParser reads decimals with a precision and scale. Those that are no number, or that would lose a digit, are refused.
func decimalParser(precision, scale int) func([]byte) (decimal128.Num, bool) {
	bound := decimal128.GetMaxValue(int32(precision))
	return func(b []byte) (decimal128.Num, bool) {
		n, ok := parseDecimal(b, scale)
		return n, ok && n.LessEqual(bound) && n.GreaterEqual(bound.Negate())
	}
}

// parseDecimal reads digits with a point among them as a multiple of 10^-scale.
func parseDecimal(b []byte, scale int) (decimal128.Num, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	var hi, lo uint64
	digits, behind := 0, -1 // behind the point; -1: there was none
	for _, c := range b {
		if c == '.' && behind < 0 {
			behind = 0
			continue
		}
		d := c - '0'
		if d > 9 {
			return decimal128.Num{}, false
		}
		if behind >= 0 {
			if behind++; behind > scale {
				if d != 0 {
					return decimal128.Num{}, false
				}
				continue
			}
		}
		if digits > 0 || d > 0 { // leading zeros count for nothing
			if digits++; digits > maxPrecision {
				return decimal128.Num{}, false
			}
		}
		hi, lo = timesTen(hi, lo, uint64(d))
	}
	if len(b) == 0 {
		return decimal128.Num{}, false
	}
	for n := min(max(behind, 0), scale); n < scale; n++ {
		if digits > 0 {
			if digits++; digits > maxPrecision {
				return decimal128.Num{}, false
			}
		}
		hi, lo = timesTen(hi, lo, 0)
	}
	n := decimal128.New(int64(hi), lo)
	if negative {
		n = n.Negate()
	}
	return n, true
}

// timesTen is ten times a number of 128 bits, plus a digit.
func timesTen(hi, lo, digit uint64) (uint64, uint64) {
	if hi == 0 && lo < math.MaxUint64/10 {
		return 0, lo*10 + digit
	}
	carry, low := bits.Mul64(lo, 10)
	low, c := bits.Add64(low, digit, 0)
	return hi*10 + carry + c, low
}
