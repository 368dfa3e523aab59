package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is how a secret looks wherever values are printed.
const hidden = "[secret]"

// Text is a secret's value. It prints as "[secret]" in whichever way it is printed, logged or encoded; only Reveal gives it away. It is not a
// plain string because fmt goes around methods where a field has no exported name, and would print a string there: it prints this as an address.
type Text struct{ value *string }

// NewText hides a value.
func NewText(value string) Text { return Text{&value} }

// Reveal gives the value. Call it where the value is handed to a driver, and keep the result in no struct.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// String implements fmt.Stringer.
func (t Text) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (t Text) GoString() string { return hidden }

// Format implements fmt.Formatter, for all verbs.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler, which JSON, YAML and XML ask.
func (t Text) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(hidden) }
