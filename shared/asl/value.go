package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Values inside the interpreter are map[string]any, []any, string, json.Number, bool and nil. Numbers keep
// the digits they came with. Values are shared between states and never changed in place.

// maxPayload is the service's limit for a state's input, a task's result and a state's output, in bytes of
// UTF-8 JSON (256 KiB).
const maxPayload = 256 * 1024

// decode reads one JSON document; nothing at all counts as an empty object, as an execution's input does.
func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err == io.EOF {
		return map[string]any{}, nil
	} else if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("unexpected text after the JSON value")
	}
	return v, nil
}

// encode writes v as compact JSON with sorted names, without HTML escapes.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("null") // cannot happen: v holds JSON values only
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// payloadSize is the length of v as compact JSON, counted without building it (escapes are estimated at two
// bytes). It stops counting past the limit.
func payloadSize(v any) int {
	switch t := v.(type) {
	case map[string]any:
		n := 2
		for k, e := range t {
			n += len(k) + 4 + payloadSize(e)
			if n > maxPayload {
				break
			}
		}
		return n
	case []any:
		n := 2
		for _, e := range t {
			n += 1 + payloadSize(e)
			if n > maxPayload {
				break
			}
		}
		return n
	case string:
		return len(t) + 2 + strings.Count(t, `"`) + strings.Count(t, `\`) + strings.Count(t, "\n")
	case json.Number:
		return len(t)
	}
	return 5
}

func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "null"
}

// equal compares two JSON values; numbers by value, so that 1 equals 1.0.
func equal(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case json.Number:
		y, ok := b.(json.Number)
		return ok && compareNumbers(x, y) == 0
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// compareNumbers is -1, 0 or 1. Integers compare exactly, everything else as IEEE doubles.
func compareNumbers(a, b json.Number) int {
	if isIntegerText(string(a)) && isIntegerText(string(b)) {
		x, okX := new(big.Int).SetString(string(a), 10)
		y, okY := new(big.Int).SetString(string(b), 10)
		if okX && okY {
			return x.Cmp(y)
		}
	}
	x, _ := strconv.ParseFloat(string(a), 64)
	y, _ := strconv.ParseFloat(string(b), 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func isIntegerText(s string) bool { return len(s) <= 400 && !strings.ContainsAny(s, ".eE") }

// integer gives v as a whole number, when it is a number without a fraction that fits.
func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -(1<<53) {
		return 0, false
	}
	return int64(f), true
}

func number(i int64) json.Number { return json.Number(strconv.FormatInt(i, 10)) }

// clip shortens text for an error's cause, which the service limits to 32,768 characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "..."
}
