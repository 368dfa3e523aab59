package dml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
)

// Constraints and defaults are in Spark's SQL. What is here admits the part of it that means the same in DuckDB, and refuses the rest.

// fromSpark gives a condition in Spark's dialect as DuckDB's, or an error that says what of it is not certain.
func (t *Table) fromSpark(ctx context.Context, sql string, schema delta.Schema) (string, error) {
	duck, err := requote(sql)
	if err != nil {
		return "", err
	}
	tree, err := t.Session.Expression(ctx, duck)
	if err != nil {
		return "", err
	}
	c := certain{schema: schema}
	if err := c.conditions([]any{tree}); err != nil {
		return "", err
	}
	// Whether columns exist and types fit is seen by binding it.
	_, err = t.Session.RowTypes(ctx, fmt.Sprintf("SELECT (%s) IS NOT TRUE AS x FROM (SELECT %s)", duck, nulls(schema)))
	return duck, err
}

// nulls are the columns of a schema, all NULL.
func nulls(schema delta.Schema) string {
	var out []string
	for _, f := range schema.Fields {
		if typ, err := engine.DuckType(f.Type); err == nil {
			out = append(out, fmt.Sprintf("CAST(NULL AS %s) AS %s", typ, engine.Ident(f.Name)))
		}
	}
	return strings.Join(out, ", ")
}

// requote turns Spark's quotes into DuckDB's: `name` and "text". A backslash, which escapes in Spark and not in DuckDB, is refused.
func requote(sql string) (string, error) {
	if strings.ContainsAny(sql, "\\") {
		return "", errors.New(`it has a backslash`)
	}
	if strings.Contains(sql, "--") || strings.Contains(sql, "/*") {
		return "", errors.New("it has a comment")
	}
	var out strings.Builder
	for rest := sql; rest != ""; {
		i := strings.IndexAny(rest, "'\"`")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		out.WriteString(rest[:i])
		quote := rest[i : i+1]
		text, after, ok := strings.Cut(rest[i+1:], quote)
		if !ok {
			return "", errors.New("a quote is not closed")
		}
		if strings.HasPrefix(after, quote) || strings.HasSuffix(out.String(), "'") {
			return "", errors.New("it has quotes within quotes, or texts side by side")
		}
		if quote == "`" {
			out.WriteString(engine.Ident(text))
		} else {
			out.WriteString(engine.Literal(text))
		}
		rest = after
	}
	return out.String(), nil
}

// certain walks DuckDB's own form of an expression and refuses what another engine may understand differently. What is admitted was measured
// against Spark 4.2.
type certain struct {
	schema delta.Schema
}

// conditions are operands that must be true or false.
func (c *certain) conditions(nodes []any) error {
	for _, v := range nodes {
		o, err := c.node(v)
		switch {
		case err != nil:
			return err
		case o.kind != kindBoolean && o.kind != kindNull:
			return fmt.Errorf("it takes a %s for a condition", o.kind)
		}
	}
	return nil
}

func (c *certain) node(v any) (operand, error) {
	n, ok := v.(map[string]any)
	if !ok {
		return operand{}, errors.New("its form is not known")
	}
	condition := operand{kind: kindBoolean}
	kind, _ := n["type"].(string)
	switch n["class"] {
	case "COLUMN_REF":
		return c.column(n)
	case "CONSTANT":
		return c.constant(n)
	case "CAST":
		return c.literalCast(n)
	case "CONJUNCTION":
		return condition, c.conditions(parts(n))
	case "OPERATOR":
		if kind == "OPERATOR_NOT" {
			return condition, c.conditions(parts(n))
		}
	}
	var args []operand
	for _, part := range parts(n) {
		o, err := c.node(part)
		if err != nil {
			return operand{}, err
		}
		args = append(args, o)
	}
	switch kind {
	case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
		return condition, nil
	case "COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_LESSTHAN", "COMPARE_GREATERTHAN", "COMPARE_LESSTHANOREQUALTO",
		"COMPARE_GREATERTHANOREQUALTO", "COMPARE_BETWEEN", "COMPARE_IN", "COMPARE_NOT_IN":
		_, err := alike(args)
		return condition, err
	case "OPERATOR_COALESCE":
		return alike(args)
	case "FUNCTION":
		name, _ := n["function_name"].(string)
		return computed(name, args)
	}
	return operand{}, fmt.Errorf("it uses %s", kind)
}

// parts are the operands of a node.
func parts(n map[string]any) []any {
	var out []any
	for _, key := range []string{"children", "left", "right", "input", "lower", "upper"} {
		switch child := n[key].(type) {
		case []any:
			out = append(out, child...)
		case map[string]any:
			out = append(out, child)
		}
	}
	return out
}

func (c *certain) column(n map[string]any) (operand, error) {
	names, _ := n["column_names"].([]any)
	var t delta.Type = c.schema
	for _, name := range names {
		st, ok := t.(delta.StructType)
		i := -1
		if text, isText := name.(string); ok && isText {
			i = slices.IndexFunc(st.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, text) })
		}
		if i < 0 {
			return operand{}, fmt.Errorf("it names %v, which is no column", names)
		}
		t = st.Fields[i].Type
	}
	return operandOf(t), nil
}

func (c *certain) constant(n map[string]any) (operand, error) {
	value, _ := n["value"].(map[string]any)
	typ, _ := value["type"].(map[string]any)
	text := fmt.Sprint(value["value"])
	switch id := typ["id"]; id {
	case "VARCHAR":
		return textLiteral(text), nil
	case "INTEGER", "BIGINT":
		return wholeLiteral(text), nil
	case "DECIMAL":
		// DuckDB gives the digits without the point, and says in the type where it is.
		info, _ := typ["type_info"].(map[string]any)
		width, widthErr := strconv.Atoi(fmt.Sprint(info["width"]))
		scale, scaleErr := strconv.Atoi(fmt.Sprint(info["scale"]))
		return operand{kindDecimal, width - scale, scale}, errors.Join(widthErr, scaleErr)
	case "DOUBLE":
		return operand{kind: kindDouble}, nil
	case "BOOLEAN":
		return operand{kind: kindBoolean}, nil
	case "NULL":
		return operand{kind: kindNull}, nil
	default:
		return operand{}, fmt.Errorf("it has a constant of type %v", id)
	}
}

// literalCast admits DATE '2026-01-01' and TRUE, which DuckDB parses as casts of a text.
func (c *certain) literalCast(n map[string]any) (operand, error) {
	child, _ := n["child"].(map[string]any)
	target, _ := n["cast_type"].(map[string]any)
	switch {
	case child["class"] != "CONSTANT":
	case target["id"] == "DATE":
		return operand{kind: kindDate}, nil
	case target["id"] == "BOOLEAN":
		return operand{kind: kindBoolean}, nil
	}
	return operand{}, fmt.Errorf("it uses a cast to %v", target["id"])
}

var (
	plainNumber = regexp.MustCompile(`^[+-]?\d+(\.\d+)?$`)
	plainText   = regexp.MustCompile(`^'[^'\\]*'$|^"[^"\\]*"$`)
	plainDate   = regexp.MustCompile(`(?i)^date\s*'\d{4}-\d{2}-\d{2}'$`)
)

// plainLiteral gives a default in DuckDB's SQL when it is a number, text, truth value, date or NULL.
func plainLiteral(raw json.RawMessage) (string, bool) {
	var sql string
	if json.Unmarshal(raw, &sql) != nil {
		return "", false
	}
	sql = strings.TrimSpace(sql)
	switch strings.ToLower(sql) {
	case "true", "false", "null":
		return sql, true
	}
	switch {
	case plainNumber.MatchString(sql), plainDate.MatchString(sql):
		return sql, true
	case plainText.MatchString(sql):
		return engine.Literal(sql[1 : len(sql)-1]), true
	}
	return "", false
}
