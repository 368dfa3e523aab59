package tfprovider

import (
	"fmt"
	"math/big"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// object is a resource's value in Go: string, *big.Float, bool, []any and map[string]any, nil for what is not set, unknown for what is not known
// yet. Blocks are []any of map[string]any.
type object = map[string]any

// unknown is a value that will be known after apply.
type unknown struct{}

// native turns Terraform's value into Go's.
func native(v tftypes.Value) (any, error) {
	switch {
	case !v.IsKnown():
		return unknown{}, nil
	case v.IsNull():
		return nil, nil
	}
	switch t := v.Type(); {
	case t.Is(tftypes.String):
		var s string
		err := v.As(&s)
		return s, err
	case t.Is(tftypes.Bool):
		var b bool
		err := v.As(&b)
		return b, err
	case t.Is(tftypes.Number):
		n := new(big.Float)
		err := v.As(n)
		return n, err
	case t.Is(tftypes.Object{}), t.Is(tftypes.Map{}):
		var fields map[string]tftypes.Value
		if err := v.As(&fields); err != nil {
			return nil, err
		}
		out := make(object, len(fields))
		for name, f := range fields {
			x, err := native(f)
			if err != nil {
				return nil, err
			}
			out[name] = x
		}
		return out, nil
	}
	var elements []tftypes.Value
	if err := v.As(&elements); err != nil {
		return nil, err
	}
	out := make([]any, len(elements))
	for i, e := range elements {
		x, err := native(e)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// nativeObject is native for a whole resource, which is nil where there is none.
func nativeObject(v tftypes.Value) (object, error) {
	x, err := native(v)
	if err != nil || x == nil {
		return nil, err
	}
	o, ok := x.(object)
	if !ok {
		return nil, fmt.Errorf("%T where an object is expected", x)
	}
	return o, nil
}

// value turns Go's value into Terraform's of a type.
func value(t tftypes.Type, x any) (tftypes.Value, error) {
	none := tftypes.NewValue(t, nil)
	switch x := x.(type) {
	case nil:
		return none, nil
	case unknown:
		return tftypes.NewValue(t, tftypes.UnknownValue), nil
	case object:
		return mapValue(t, x)
	case []any:
		return listValue(t, x)
	}
	if t.Is(tftypes.DynamicPseudoType) {
		switch x.(type) {
		case string:
			t = tftypes.String
		case bool:
			t = tftypes.Bool
		case *big.Float:
			t = tftypes.Number
		}
	}
	if err := tftypes.ValidateValue(t, x); err != nil {
		return none, err
	}
	return tftypes.NewValue(t, x), nil
}

func mapValue(t tftypes.Type, x object) (tftypes.Value, error) {
	types := map[string]tftypes.Type{}
	var element tftypes.Type
	switch t := t.(type) {
	case tftypes.Object:
		types = t.AttributeTypes
	case tftypes.Map:
		element = t.ElementType
	default:
		return tftypes.Value{}, fmt.Errorf("an object where %s is expected", t)
	}
	fields := map[string]tftypes.Value{}
	for name, t := range types {
		v, err := value(t, x[name])
		if err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
		fields[name] = v
	}
	for name, inner := range x {
		if element == nil {
			if types[name] == nil {
				return tftypes.Value{}, fmt.Errorf("no attribute %q", name)
			}
			continue
		}
		v, err := value(element, inner)
		if err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
		fields[name] = v
	}
	return tftypes.NewValue(t, fields), nil
}

func listValue(t tftypes.Type, x []any) (tftypes.Value, error) {
	var element tftypes.Type
	switch t := t.(type) {
	case tftypes.List:
		element = t.ElementType
	case tftypes.Set:
		element = t.ElementType
	default:
		if t.Is(tftypes.DynamicPseudoType) && len(x) == 0 {
			return tftypes.NewValue(tftypes.Tuple{}, []tftypes.Value{}), nil
		}
		return tftypes.Value{}, fmt.Errorf("a list where %s is expected", t)
	}
	elements := make([]tftypes.Value, len(x))
	for i, inner := range x {
		v, err := value(element, inner)
		if err != nil {
			return v, fmt.Errorf("[%d]: %w", i, err)
		}
		elements[i] = v
	}
	return tftypes.NewValue(t, elements), nil
}

// whole tells whether all of a value is known.
func whole(x any) bool {
	switch x := x.(type) {
	case unknown:
		return false
	case object:
		for _, inner := range x {
			if !whole(inner) {
				return false
			}
		}
	case []any:
		for _, inner := range x {
			if !whole(inner) {
				return false
			}
		}
	}
	return true
}

// set tells whether something is given; what is not known yet may be.
func set(x any) bool {
	switch x := x.(type) {
	case nil:
		return false
	case string:
		return x != ""
	case []any:
		return len(x) > 0
	case object:
		return len(x) > 0
	}
	return true
}

// text is a string, or "" for all else.
func text(x any) string {
	s, _ := x.(string)
	return s
}

func number(n int64) *big.Float { return new(big.Float).SetInt64(n) }
