package dml

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
)

// operand is what a part of an expression gives, as far as it matters for what engines compare it as.
type operand struct {
	kind           operandKind
	integer, scale int // digits before and behind the point that a whole or decimal number may have
}

// operandKind tells apart what Spark and DuckDB convert by rules of their own when it stands side by side. That of a primitive type not
// named here is the type. "" is an array, map or struct, in which the two treat NULLs differently.
type operandKind string

const (
	kindNull    operandKind = "NULL"
	kindLiteral operandKind = "small whole number" // a literal of up to 24 bits, which every type of number holds
	kindWhole   operandKind = "whole number"
	kindDecimal operandKind = "decimal number"
	kindDouble  operandKind = "double"
	kindFloat   operandKind = "float"
	kindText    operandKind = "text"
	kindDay     operandKind = "text of a date" // a literal
	kindDate    operandKind = "date"
	kindBoolean operandKind = "boolean"
)

// numberKinds are those that both engines compare with each other as the last of them. A float is none: Spark compares it in double precision.
var numberKinds = []operandKind{kindLiteral, kindWhole, kindDecimal, kindDouble}

// maxDigits are those of the widest decimal. Beyond it Spark rounds, and DuckDB fails or does not.
const maxDigits = 38

func operandOf(t delta.Type) operand {
	p := primitive(t)
	if precision, scale, ok := p.DecimalParts(); ok {
		return operand{kindDecimal, precision - scale, scale}
	}
	switch p {
	case delta.Byte:
		return operand{kindWhole, 3, 0}
	case delta.Short:
		return operand{kindWhole, 5, 0}
	case delta.Integer:
		return operand{kindWhole, 10, 0}
	case delta.Long:
		return operand{kindWhole, 20, 0}
	case delta.Double:
		return operand{kind: kindDouble}
	case delta.Float:
		return operand{kind: kindFloat}
	case delta.String:
		return operand{kind: kindText}
	case delta.Date:
		return operand{kind: kindDate}
	case delta.Boolean:
		return operand{kind: kindBoolean}
	}
	return operand{kind: operandKind(p)}
}

var dayText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)

// textLiteral is the operand of a text between quotes.
func textLiteral(text string) operand {
	if dayText.MatchString(text) {
		return operand{kind: kindDay}
	}
	return operand{kind: kindText}
}

// wholeLiteral is the operand of a whole number.
func wholeLiteral(text string) operand {
	digits := len(strings.TrimLeft(text, "+-"))
	if digits <= 7 {
		return operand{kindLiteral, digits, 0}
	}
	return operand{kindWhole, digits, 0}
}

// alike gives what all of these are compared as, or an error where the engines disagree on it.
func alike(all []operand) (operand, error) {
	out := operand{kind: kindNull}
	for _, o := range all {
		kind, ok := common(out.kind, o.kind)
		if !ok {
			return out, fmt.Errorf("it sets a %s beside a %s, which engines convert differently", out.kind, o.kind)
		}
		out = operand{kind, max(out.integer, o.integer), max(out.scale, o.scale)}
	}
	return out, out.fits()
}

func (o operand) fits() error {
	if o.kind == kindDecimal && o.integer+o.scale > maxDigits {
		return fmt.Errorf("it needs decimal numbers of more than %d digits", maxDigits)
	}
	return nil
}

func common(a, b operandKind) (operandKind, bool) {
	if i, j := slices.Index(numberKinds, a), slices.Index(numberKinds, b); i >= 0 && j >= 0 {
		return numberKinds[max(i, j)], true
	}
	for _, pair := range [][2]operandKind{{a, b}, {b, a}} {
		x, y := pair[0], pair[1]
		if y != "" && (x == y || x == kindNull || x == kindLiteral && y == kindFloat || x == kindDay && (y == kindText || y == kindDate)) {
			return y, true
		}
	}
	return "", false
}

// computed is the operand that a function or operator gives.
func computed(name string, args []operand) (operand, error) {
	out, err := alike(args)
	if err != nil {
		return out, err
	}
	switch name {
	case "length", "char_length":
		if out.kind != kindText && out.kind != kindDay {
			return out, fmt.Errorf("it takes the length of a %s", out.kind)
		}
		return operand{kindWhole, 10, 0}, nil
	case "+", "-", "*", "abs":
	default:
		return out, fmt.Errorf("it uses the function or operator %s", name)
	}
	switch {
	case out.kind == kindFloat && slices.ContainsFunc(args, func(o operand) bool { return o.kind != kindFloat }):
		return out, fmt.Errorf("it computes with a float and another number, which Spark does in double precision")
	case out.kind != kindFloat && !slices.Contains(numberKinds, out.kind):
		return out, fmt.Errorf("it computes with a %s", out.kind)
	case (out.kind == kindLiteral || out.kind == kindWhole) && len(args) > 1:
		return out, errors.New("it computes with whole numbers: Spark fails at an overflow, and DuckDB may rearrange the sum so that there is none")
	}
	if len(args) == 2 {
		out.integer++ // the carry
		if name == "*" {
			out.integer, out.scale = args[0].integer+args[1].integer+1, args[0].scale+args[1].scale
		}
	}
	return out, out.fits()
}
