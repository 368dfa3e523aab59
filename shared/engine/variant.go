package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/fault"
)

// variant is SQL that reads a variant as the JSON that PySpark gives of it. A shredded one is refused: its parts are in other columns.
func (k converter) variant(expr string, c physical) (string, error) {
	parts := map[string]bool{}
	for _, p := range c.parts {
		parts[p.name] = true
	}
	switch {
	case parts["typed_value"]:
		return "", errors.New("the file holds shredded variants (variantShredding), which lakestep does not read")
	case !parts["metadata"] || !parts["value"]:
		return "", errors.New("a variant without metadata and value")
	}
	return fmt.Sprintf("CAST(%s(struct_extract(%s, 'metadata'), struct_extract(%s, 'value')) AS JSON)", variantFunction, expr, expr), nil
}

const variantFunction = "_variant_json"

// variantJSON is the SQL function of that name: two BLOBs to a text.
type variantJSON struct{}

func (variantJSON) Config() duckdb.ScalarFuncConfig {
	blob, err1 := duckdb.NewTypeInfo(duckdb.TYPE_BLOB)
	text, err2 := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	if err := errors.Join(err1, err2); err != nil {
		panic(err) // both are types without parts
	}
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{blob, blob}, ResultTypeInfo: text}
}

func (variantJSON) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		metadata, ok1 := values[0].([]byte)
		value, ok2 := values[1].([]byte)
		if !ok1 || !ok2 {
			return nil, errors.New("variant: not two BLOBs")
		}
		return decodeVariant(metadata, value)
	}}
}

func registerFunctions(db *sql.DB) error {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	return errors.Join(duckdb.RegisterScalarUDF(conn, variantFunction, variantJSON{}), conn.Close())
}

// Bounds of one variant: parts may overlap in a damaged one, so that its text could grow without end.
const (
	maxVariantDepth = 500
	maxVariantText  = 64 << 20 // bytes
)

var errVariant = errors.New("damaged variant")

// variantText writes a variant (Parquet, "Variant Binary Encoding") as JSON.
type variantText struct {
	names []string // the dictionary of object keys
	out   strings.Builder
}

func decodeVariant(metadata, value []byte) (string, error) {
	var v variantText
	if err := v.dictionary(metadata); err != nil {
		return "", fault.New(fault.InvalidInput, "read", "variant", "%w", err)
	}
	if err := v.write(value, 0); err != nil {
		return "", fault.New(fault.InvalidInput, "read", "variant", "%w", err)
	}
	return v.out.String(), nil
}

// unsigned reads a little-endian number of 1 to 4 bytes.
func unsigned(b []byte, at, size int) (int, error) {
	if at < 0 || at+size > len(b) {
		return 0, errVariant
	}
	n := 0
	for i := size - 1; i >= 0; i-- {
		n = n<<8 | int(b[at+i])
	}
	return n, nil
}

// slice is b[from:to], if there is such a thing.
func slice(b []byte, from, to int) ([]byte, error) {
	if from < 0 || to < from || to > len(b) {
		return nil, errVariant
	}
	return b[from:to], nil
}

func (v *variantText) dictionary(b []byte) error {
	if len(b) == 0 || b[0]&15 != 1 {
		return fmt.Errorf("%w: its metadata is not of version 1", errVariant)
	}
	size := int(b[0]>>6) + 1
	count, err := unsigned(b, 1, size)
	if err != nil {
		return err
	}
	text := 1 + size*(count+2)
	if text > len(b) {
		return errVariant
	}
	for i := range count {
		from, err1 := unsigned(b, 1+size*(i+1), size)
		to, err2 := unsigned(b, 1+size*(i+2), size)
		name, err3 := slice(b, text+from, text+to)
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		v.names = append(v.names, string(name))
	}
	return nil
}

func (v *variantText) write(b []byte, depth int) error {
	if len(b) == 0 || depth > maxVariantDepth || v.out.Len() > maxVariantText {
		return errVariant
	}
	header := b[0] >> 2
	switch b[0] & 3 {
	case 1:
		text, err := slice(b, 1, 1+int(header))
		return errors.Join(err, v.quote(string(text)))
	case 2:
		return v.container(b, int(header>>2&3)+1, int(header&3)+1, header>>4&1 == 1, depth)
	case 3:
		return v.container(b, 0, int(header&3)+1, header>>2&1 == 1, depth)
	}
	return v.primitive(header, b[1:])
}

// container writes an object, or an array when its keys have no size.
func (v *variantText) container(b []byte, idSize, offsetSize int, large bool, depth int) error {
	countSize := 1
	if large {
		countSize = 4
	}
	count, err := unsigned(b, 1, countSize)
	if err != nil {
		return err
	}
	ids := 1 + countSize
	offsets := ids + count*idSize
	values := offsets + (count+1)*offsetSize
	if values > len(b) {
		return errVariant
	}
	brackets := "{}"
	if idSize == 0 {
		brackets = "[]"
	}
	v.out.WriteByte(brackets[0])
	for i := range count {
		if i > 0 {
			v.out.WriteByte(',')
		}
		if idSize > 0 {
			id, err := unsigned(b, ids+i*idSize, idSize)
			if err != nil || id >= len(v.names) {
				return errVariant
			}
			if err := v.quote(v.names[id]); err != nil {
				return err
			}
			v.out.WriteByte(':')
		}
		from, err := unsigned(b, offsets+i*offsetSize, offsetSize)
		if err != nil || values+from > len(b) {
			return errVariant
		}
		if err := v.write(b[values+from:], depth+1); err != nil {
			return err
		}
	}
	v.out.WriteByte(brackets[1])
	return nil
}

func (v *variantText) quote(s string) error {
	text, err := json.Marshal(s)
	v.out.Write(text)
	return err
}

// variantSizes are the bytes of primitives of a fixed size, by type.
var variantSizes = map[byte]int{0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 4, 6: 8, 7: 8, 8: 5, 9: 9, 10: 17, 11: 4, 12: 8, 13: 8, 14: 4, 20: 16}

func (v *variantText) primitive(kind byte, b []byte) error {
	if kind == 15 || kind == 16 {
		size, err := unsigned(b, 0, 4)
		if err != nil {
			return err
		}
		text, err := slice(b, 4, 4+size)
		if err != nil {
			return err
		}
		if kind == 15 {
			return v.quote(base64.StdEncoding.EncodeToString(text))
		}
		return v.quote(string(text))
	}
	size, known := variantSizes[kind]
	if !known {
		return fmt.Errorf("variant of unknown type %d", kind)
	}
	b, err := slice(b, 0, size)
	if err != nil {
		return err
	}
	switch kind {
	case 0:
		v.out.WriteString("null")
	case 1, 2:
		v.out.WriteString(strconv.FormatBool(kind == 1))
	case 3, 4, 5, 6:
		v.out.WriteString(signed(b).String())
	case 7:
		return v.float(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case 14:
		return v.float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	case 8, 9, 10:
		v.out.WriteString(decimalText(signed(b[1:]), int(b[0])))
	case 11:
		return v.quote(time.Unix(0, 0).UTC().AddDate(0, 0, int(signed(b).Int64())).Format(time.DateOnly))
	case 12:
		return v.quote(momentText(signed(b).Int64()) + "+00:00")
	case 13:
		return v.quote(momentText(signed(b).Int64()))
	case 20:
		return v.quote(uuid.UUID(b).String())
	}
	return nil
}

func (v *variantText) float(f float64) error {
	switch {
	case math.IsNaN(f):
		return v.quote("NaN")
	case math.IsInf(f, 0):
		return v.quote(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+") + "inity")
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	v.out.WriteString(text)
	return nil
}

// momentText writes a moment in microseconds since the epoch; fractions have six digits.
func momentText(micros int64) string {
	layout := time.DateTime
	if micros%1e6 != 0 {
		layout += ".000000"
	}
	return time.UnixMicro(micros).UTC().Format(layout)
}

// signed reads a little-endian number in two's complement.
func signed(b []byte) *big.Int {
	turned := make([]byte, len(b))
	for i, c := range b {
		turned[len(b)-1-i] = c
	}
	n := new(big.Int).SetBytes(turned)
	if len(b) > 0 && turned[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// decimalText writes a number of which that many digits are behind the point, without zeros at its end.
func decimalText(n *big.Int, scale int) string {
	digits := new(big.Int).Abs(n).String()
	if pad := scale + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	if scale > 0 {
		digits = strings.TrimRight(digits[:len(digits)-scale]+"."+digits[len(digits)-scale:], "0")
		digits = strings.TrimSuffix(digits, ".")
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
