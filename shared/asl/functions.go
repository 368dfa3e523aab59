package asl

import (
	"crypto/md5"  //nolint:gosec // the language names MD5; it protects nothing here
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// The limits that the service sets for intrinsic functions.
const (
	maxCodeText  = 10_000 // characters for Base64Encode, Base64Decode and Hash
	maxArrayMade = 1_000  // items of an ArrayRange
)

// intrinsics lists the eighteen functions of the language.
func intrinsics() map[string]intrinsic {
	return map[string]intrinsic{
		"States.Format":         {1, -1, format},
		"States.StringToJson":   {1, 1, stringToJSON},
		"States.JsonToString":   {1, 1, jsonToString},
		"States.Array":          {0, -1, func(_ *env, args []any) (any, error) { return append([]any{}, args...), nil }},
		"States.ArrayPartition": {2, 2, arrayPartition},
		"States.ArrayContains":  {2, 2, arrayContains},
		"States.ArrayRange":     {3, 3, arrayRange},
		"States.ArrayGetItem":   {2, 2, arrayGetItem},
		"States.ArrayLength":    {1, 1, arrayLength},
		"States.ArrayUnique":    {1, 1, arrayUnique},
		"States.Base64Encode":   {1, 1, base64Encode},
		"States.Base64Decode":   {1, 1, base64Decode},
		"States.Hash":           {2, 2, hashText},
		"States.JsonMerge":      {3, 3, jsonMerge},
		"States.MathRandom":     {2, 3, mathRandom},
		"States.MathAdd":        {2, 2, mathAdd},
		"States.StringSplit":    {2, 2, stringSplit},
		"States.UUID":           {0, 0, newUUID},
	}
}

func format(_ *env, args []any) (any, error) {
	template, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	next := 1
	for i := 0; i < len(template); i++ {
		switch {
		case template[i] == '\\' && i+1 < len(template) && (template[i+1] == '{' || template[i+1] == '}'):
			i++
			b.WriteByte(template[i])
		case strings.HasPrefix(template[i:], "{}"):
			if next >= len(args) {
				return nil, fmt.Errorf("there are more {} than values")
			}
			b.WriteString(display(args[next]))
			next++
			i++
		default:
			b.WriteByte(template[i])
		}
	}
	if next != len(args) {
		return nil, fmt.Errorf("there are %d values for %d {}", len(args)-1, next-1)
	}
	return b.String(), nil
}

// display shows a value the way the service's Format does: objects as {Name=value}.
func display(v any) string {
	switch t := v.(type) {
	case nil:
		return "null"
	case string:
		return t
	case json.Number:
		return string(t)
	case bool:
		return strconv.FormatBool(t)
	case []any:
		parts := make([]string, len(t))
		for i, e := range t {
			parts[i] = display(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range sortedKeys(t) {
			parts = append(parts, k+"="+display(t[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// stringToJSON reads JSON text; empty text gives null, as AWS does.
func stringToJSON(_ *env, args []any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	v, err := decode([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("the text is not JSON: %w", err)
	}
	return v, nil
}

func jsonToString(_ *env, args []any) (any, error) { return string(encode(args[0])), nil }

func arrayPartition(_ *env, args []any) (any, error) {
	list, err := listArg(args, 0)
	if err != nil {
		return nil, err
	}
	size, err := roundArg(args, 1)
	if err != nil {
		return nil, err
	}
	if size <= 0 {
		return nil, errors.New("the chunk size is not positive")
	}
	out := []any{}
	for len(list) > 0 {
		n := int(min(size, int64(len(list))))
		out = append(out, list[:n:n])
		list = list[n:]
	}
	return out, nil
}

func arrayContains(_ *env, args []any) (any, error) {
	list, err := listArg(args, 0)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if equal(e, args[1]) {
			return true, nil
		}
	}
	return false, nil
}

func arrayRange(_ *env, args []any) (any, error) {
	var n [3]int64
	for i := range n {
		v, err := roundArg(args, i)
		if err != nil {
			return nil, err
		}
		n[i] = v
	}
	first, last, step := n[0], n[1], n[2]
	if step == 0 {
		return nil, errors.New("the step is zero")
	}
	out := []any{}
	for i := first; step > 0 && i <= last || step < 0 && i >= last; {
		if len(out) == maxArrayMade {
			return nil, fmt.Errorf("more than %d items", maxArrayMade)
		}
		out = append(out, number(i))
		next := i + step
		if (next > i) != (step > 0) { // the end of int64
			break
		}
		i = next
	}
	return out, nil
}

func arrayGetItem(_ *env, args []any) (any, error) {
	list, err := listArg(args, 0)
	if err != nil {
		return nil, err
	}
	i, err := roundArg(args, 1)
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(list)) {
		return nil, fmt.Errorf("index %d is outside an array of %d", i, len(list))
	}
	return list[i], nil
}

func arrayLength(_ *env, args []any) (any, error) {
	list, err := listArg(args, 0)
	return number(int64(len(list))), err
}

func arrayUnique(_ *env, args []any) (any, error) {
	list, err := listArg(args, 0)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, e := range list {
		if found, _ := arrayContains(nil, []any{out, e}); found == false {
			out = append(out, e)
		}
	}
	return out, nil
}

func base64Encode(_ *env, args []any) (any, error) {
	s, err := codeArg(args)
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

func base64Decode(_ *env, args []any) (any, error) {
	s, err := codeArg(args)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("the text is not Base64: %w", err)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}

func hashText(_ *env, args []any) (any, error) {
	data := []byte(display(args[0]))
	if len(data) > maxCodeText {
		return nil, fmt.Errorf("the text is longer than %d characters", maxCodeText)
	}
	algorithm, err := textArg(args, 1)
	if err != nil {
		return nil, err
	}
	var sum []byte
	switch algorithm {
	case "MD5":
		s := md5.Sum(data) //nolint:gosec // named by the language
		sum = s[:]
	case "SHA-1":
		s := sha1.Sum(data) //nolint:gosec // named by the language
		sum = s[:]
	case "SHA-256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "SHA-384":
		s := sha512.Sum384(data)
		sum = s[:]
	case "SHA-512":
		s := sha512.Sum512(data)
		sum = s[:]
	default:
		return nil, fmt.Errorf("%q is none of MD5, SHA-1, SHA-256, SHA-384, SHA-512", algorithm)
	}
	return hex.EncodeToString(sum), nil
}

// jsonMerge is shallow: the language knows no deep merge yet, and asks for false as its third argument.
func jsonMerge(_ *env, args []any) (any, error) {
	a, okA := args[0].(map[string]any)
	b, okB := args[1].(map[string]any)
	if !okA || !okB {
		return nil, errors.New("the first two arguments are objects")
	}
	if args[2] != false {
		return nil, errors.New("the third argument is false: only shallow merges exist")
	}
	out := make(map[string]any, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = v
	}
	return out, nil
}

// mathRandom gives a whole number from the first argument (included) to the second (excluded). The same
// seed, or without one the same execution and operation, gives the same number.
func mathRandom(e *env, args []any) (any, error) {
	from, err := roundArg(args, 0)
	if err != nil {
		return nil, err
	}
	to, err := roundArg(args, 1)
	if err != nil {
		return nil, err
	}
	if from >= to {
		return nil, errors.New("the range is empty")
	}
	var bits uint64
	if len(args) == 3 {
		seed, err := roundArg(args, 2)
		if err != nil {
			return nil, err
		}
		bits = hashBits("seed", strconv.FormatInt(seed, 10))
	} else {
		bits = hashBits(e.seed, e.draw())
	}
	return number(int64(uint64(from) + bits%(uint64(to)-uint64(from)))), nil
}

func mathAdd(_ *env, args []any) (any, error) {
	a, err := roundArg(args, 0)
	if err != nil {
		return nil, err
	}
	b, err := roundArg(args, 1)
	if err != nil {
		return nil, err
	}
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		return nil, errors.New("the sum does not fit in 64 bits")
	}
	return number(sum), nil
}

// stringSplit cuts at each of the splitter's characters and drops empty pieces.
func stringSplit(_ *env, args []any) (any, error) {
	s, err := textArg(args, 0)
	if err != nil {
		return nil, err
	}
	cut, err := textArg(args, 1)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, piece := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(cut, r) }) {
		out = append(out, piece)
	}
	return out, nil
}

// newUUID has the form of a version 4 UUID but derives from execution and operation, so that a replay gives
// the same one.
func newUUID(e *env, _ []any) (any, error) {
	sum := sha256.Sum256([]byte(e.seed + "\x00uuid\x00" + e.draw()))
	id, err := uuid.FromBytes(sum[:16])
	if err != nil {
		return nil, err
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String(), nil
}

func (e *env) draw() string {
	e.draws++
	return strconv.Itoa(e.draws)
}

// hashBits turns text into 64 bits that look random and are always the same.
func hashBits(parts ...string) uint64 {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return binary.BigEndian.Uint64(sum[:8])
}

func textArg(args []any, i int) (string, error) {
	s, ok := args[i].(string)
	if !ok {
		return "", fmt.Errorf("argument %d is %s, not text", i+1, typeName(args[i]))
	}
	return s, nil
}

func codeArg(args []any) (string, error) {
	s, err := textArg(args, 0)
	if err == nil && len(s) > maxCodeText {
		err = fmt.Errorf("the text is longer than %d characters", maxCodeText)
	}
	return s, err
}

func listArg(args []any, i int) ([]any, error) {
	list, ok := args[i].([]any)
	if !ok {
		return nil, fmt.Errorf("argument %d is %s, not an array", i+1, typeName(args[i]))
	}
	return list, nil
}

// roundArg takes a number and rounds it, as the service does.
func roundArg(args []any, i int) (int64, error) {
	n, ok := args[i].(json.Number)
	if !ok {
		return 0, fmt.Errorf("argument %d is %s, not a number", i+1, typeName(args[i]))
	}
	if whole, ok := integer(n); ok {
		return whole, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.Abs(f) > 1<<62 {
		return 0, fmt.Errorf("argument %d does not fit in 64 bits", i+1)
	}
	return int64(math.Round(f)), nil
}
