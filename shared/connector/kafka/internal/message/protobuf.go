package message

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/cells"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// The instants that a table can have: those of the years 1 to 9999.
const (
	minMicros = -62135596800_000000
	maxMicros = 253402300800_000000 // and not this one
)

// protoCodec decodes the messages of one type.
type protoCodec struct {
	message protoreflect.MessageDescriptor
	cols    []spool.Column
	fields  []protoField
	read    proto.UnmarshalOptions
	write   protojson.MarshalOptions
}

// protoField puts a field of a message into a cell.
type protoField struct {
	fd    protoreflect.FieldDescriptor
	maybe bool // it may not be there
	set   protoSetter
}

type protoSetter func(v protoreflect.Value, c *cells.Cell) error

// confluent are the files that Confluent's serializers let schemas import without naming them among the references.
var confluent = map[string]string{
	"confluent/meta.proto": `syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }`,
	"confluent/type/decimal.proto": `syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }`,
}

// newProto compiles the text of a .proto file; path says which of its messages it is: "1/0/" is the first within the second.
func newProto(ctx context.Context, text string, references []named, path string) (*protoCodec, error) {
	const name = "schema.proto"
	sources := map[string]string{name: text}
	for file, text := range confluent {
		sources[file] = text
	}
	for _, ref := range references {
		sources[ref.name] = ref.text
	}
	compiler := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)})}
	files, err := compiler.Compile(ctx, name)
	if err != nil {
		return nil, err
	}
	md, err := messageAt(files[0].Messages(), path)
	if err != nil {
		return nil, err
	}
	types := linker.ResolverFromFile(files[0])
	p := &protoCodec{message: md, read: proto.UnmarshalOptions{Resolver: types, AllowPartial: !hasRequired(md, map[protoreflect.FullName]bool{})}, write: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true, Resolver: types}}
	return p, p.plan()
}

func messageAt(all protoreflect.MessageDescriptors, path string) (md protoreflect.MessageDescriptor, err error) {
	if path == "" {
		path = "0/"
	}
	for _, text := range strings.Split(strings.TrimSuffix(path, "/"), "/") {
		i, err := strconv.Atoi(text)
		if err != nil || i >= all.Len() {
			return nil, fmt.Errorf("it has no message %s", path)
		}
		md = all.Get(i)
		all = md.Messages()
	}
	return md, nil
}

// hasRequired tells whether a message, or one within it, has required fields (proto2): else nobody needs to look for them, which takes a
// quarter of the time.
func hasRequired(md protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[md.FullName()] {
		return false
	}
	seen[md.FullName()] = true
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if fd.Cardinality() == protoreflect.Required || fd.Message() != nil && hasRequired(fd.Message(), seen) {
			return true
		}
	}
	return false
}

// plan gives each field of the message its column.
func (p *protoCodec) plan() error {
	all := p.message.Fields()
	names := make([]string, all.Len())
	for i := range names {
		names[i] = string(all.Get(i).Name())
	}
	for i, name := range connector.ColumnNames(names) {
		f := protoField{fd: all.Get(i), maybe: all.Get(i).HasPresence()}
		var t arrow.DataType
		t, f.set = p.column(f.fd)
		p.cols, p.fields = append(p.cols, spool.Column{Name: name, Type: t}), append(p.fields, f)
	}
	return nil
}

func (p *protoCodec) columns() []spool.Column { return p.cols }

// column gives the type of a field's column: a simple type, a list of such; all else is JSON text.
func (p *protoCodec) column(fd protoreflect.FieldDescriptor) (arrow.DataType, protoSetter) {
	if fd.IsMap() {
		return arrow.BinaryTypes.String, p.jsonField(fd)
	}
	t, set := protoSimple(fd)
	if t == nil {
		return arrow.BinaryTypes.String, p.jsonField(fd)
	}
	if !fd.IsList() {
		return t, set
	}
	return arrow.ListOf(t), func(v protoreflect.Value, c *cells.Cell) error {
		list := v.List()
		c.State, c.List = cells.There, c.List[:0]
		for i := range list.Len() {
			var item cells.Cell
			if err := set(list.Get(i), &item); err != nil {
				return err
			}
			if item.State == cells.Other { // an instant that no column can hold
				return p.jsonField(fd)(v, c)
			}
			c.List = append(c.List, item)
		}
		return nil
	}
}

// protoSimple gives the type of a single value without parts; nil for any other.
func protoSimple(fd protoreflect.FieldDescriptor) (arrow.DataType, protoSetter) {
	num := func(get func(protoreflect.Value) int64) protoSetter {
		return func(v protoreflect.Value, c *cells.Cell) error { c.SetNum(get(v)); return nil }
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return arrow.FixedWidthTypes.Boolean, func(v protoreflect.Value, c *cells.Cell) error { c.SetTruth(v.Bool()); return nil }
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return arrow.PrimitiveTypes.Int32, num(protoreflect.Value.Int)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return arrow.PrimitiveTypes.Int64, num(protoreflect.Value.Int)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return arrow.PrimitiveTypes.Int64, num(func(v protoreflect.Value) int64 { return int64(v.Uint()) })
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return &arrow.Decimal128Type{Precision: 20}, func(v protoreflect.Value, c *cells.Cell) error {
			c.State, c.High, c.Num = cells.There, 0, int64(v.Uint())
			return nil
		}
	case protoreflect.FloatKind:
		return arrow.PrimitiveTypes.Float32, func(v protoreflect.Value, c *cells.Cell) error { c.SetFloat(v.Float()); return nil }
	case protoreflect.DoubleKind:
		return arrow.PrimitiveTypes.Float64, func(v protoreflect.Value, c *cells.Cell) error { c.SetFloat(v.Float()); return nil }
	case protoreflect.StringKind:
		return arrow.BinaryTypes.String, func(v protoreflect.Value, c *cells.Cell) (err error) {
			text, err := protoText(v)
			c.SetText(text)
			return err
		}
	case protoreflect.BytesKind:
		return arrow.BinaryTypes.Binary, func(v protoreflect.Value, c *cells.Cell) error { c.SetText(v.Bytes()); return nil }
	case protoreflect.EnumKind:
		return arrow.BinaryTypes.String, enumSetter(fd.Enum())
	case protoreflect.MessageKind:
		return protoWrapped(fd.Message())
	}
	return nil, nil
}

// protoText gives a text, which proto2 does not check.
func protoText(v protoreflect.Value) ([]byte, error) {
	if !utf8.ValidString(v.String()) {
		return nil, errors.New("a string that is not UTF-8")
	}
	return []byte(v.String()), nil
}

func enumSetter(ed protoreflect.EnumDescriptor) protoSetter {
	names := map[protoreflect.EnumNumber][]byte{}
	for i := range ed.Values().Len() {
		v := ed.Values().Get(i)
		if _, there := names[v.Number()]; !there { // of aliases the first
			names[v.Number()] = []byte(v.Name())
		}
	}
	return func(v protoreflect.Value, c *cells.Cell) error {
		name, ok := names[v.Enum()]
		if !ok { // of a newer schema
			name = strconv.AppendInt(nil, int64(v.Enum()), 10)
		}
		c.SetText(name)
		return nil
	}
}

// protoWrapped gives the type of Google's messages that stand for a simple value.
func protoWrapped(md protoreflect.MessageDescriptor) (arrow.DataType, protoSetter) {
	switch md.FullName() {
	case "google.protobuf.Timestamp":
		return spool.Timestamp, func(v protoreflect.Value, c *cells.Cell) error {
			m := v.Message()
			seconds, nanos := m.Get(md.Fields().ByName("seconds")).Int(), m.Get(md.Fields().ByName("nanos")).Int()
			if seconds < minMicros/1_000_000 || seconds >= maxMicros/1_000_000 || nanos < 0 || nanos > 999_999_999 {
				c.SetOther(fmt.Appendf(nil, "%d.%09d", seconds, nanos))
				return nil
			}
			c.SetNum(seconds*1_000_000 + nanos/1000) // finer digits are cut
			return nil
		}
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value", "google.protobuf.UInt64Value", "google.protobuf.Int32Value",
		"google.protobuf.UInt32Value", "google.protobuf.BoolValue", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		inner := md.Fields().ByName("value")
		t, set := protoSimple(inner)
		return t, func(v protoreflect.Value, c *cells.Cell) error { return set(v.Message().Get(inner), c) }
	}
	return nil, nil
}

func (p *protoCodec) reader(rows *spool.Rows) reader {
	return protoReader{cells.NewRow(rows, 0, len(p.cols)), p}
}

type protoReader struct {
	*cells.Row
	codec *protoCodec
}

func (r protoReader) decode(payload []byte) error {
	p, row := r.codec, r.Cells
	m := dynamicpb.NewMessage(p.message)
	if err := p.read.Unmarshal(payload, m); err != nil {
		return plainly(err)
	}
	for i, f := range p.fields {
		if f.maybe && !m.Has(f.fd) {
			row[i].State = cells.Null
			continue
		}
		if err := f.set(m.Get(f.fd), &row[i]); err != nil {
			return fmt.Errorf("field %s: %w", f.fd.Name(), plainly(err))
		}
	}
	return nil
}

// plainly drops the space that cannot be broken, by which Google's errors differ from run to run.
func plainly(err error) error {
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\u00a0", " "))
}

// jsonField writes a field as Protobuf's JSON, with the names of the schema.
func (p *protoCodec) jsonField(fd protoreflect.FieldDescriptor) protoSetter {
	return func(v protoreflect.Value, c *cells.Cell) error {
		var out []byte
		var err error
		switch {
		case fd.IsMap():
			out, err = p.jsonMap(v.Map(), fd)
		case fd.IsList():
			out, err = p.jsonList(v.List(), fd)
		default:
			out, err = p.jsonValue(nil, v, fd)
		}
		if fd.IsList() && err == nil {
			if t, _ := protoSimple(fd); t != nil {
				c.SetOther(out)
				return nil
			}
		}
		c.SetText(out)
		return err
	}
}

func (p *protoCodec) jsonList(list protoreflect.List, fd protoreflect.FieldDescriptor) (out []byte, err error) {
	out = append(out, '[')
	for i := range list.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = p.jsonValue(out, list.Get(i), fd); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// jsonMap writes a map in the order of its keys, so that the same map is the same text.
func (p *protoCodec) jsonMap(m protoreflect.Map, fd protoreflect.FieldDescriptor) (out []byte, err error) {
	values := map[string]json.RawMessage{}
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		values[k.String()], err = p.jsonValue(nil, v, fd.MapValue())
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err = e.Encode(values)
	return bytes.TrimSpace(b.Bytes()), err
}

func (p *protoCodec) jsonValue(out []byte, v protoreflect.Value, fd protoreflect.FieldDescriptor) ([]byte, error) {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return p.jsonMessage(out, v.Message())
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, v.Bool()), nil
	case protoreflect.StringKind:
		text, err := protoText(v)
		return cells.AppendString(out, text), err
	case protoreflect.BytesKind:
		return cells.AppendBytes(out, v.Bytes()), nil
	case protoreflect.FloatKind:
		return cells.AppendFloat(out, v.Float(), 32), nil
	case protoreflect.DoubleKind:
		return cells.AppendFloat(out, v.Float(), 64), nil
	case protoreflect.EnumKind:
		if known := fd.Enum().Values().ByNumber(v.Enum()); known != nil {
			return cells.AppendString(out, []byte(known.Name())), nil
		}
		return strconv.AppendInt(out, int64(v.Enum()), 10), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return cells.AppendString(out, []byte(v.String())), nil // as Protobuf has it: many readers of JSON lose digits
	}
	return append(out, v.String()...), nil
}

func (p *protoCodec) jsonMessage(out []byte, m protoreflect.Message) ([]byte, error) {
	text, err := p.write.Marshal(m.Interface())
	if err != nil {
		return nil, plainly(err)
	}
	var b bytes.Buffer
	err = json.Compact(&b, text) // the library puts white space in by chance, lest somebody relies on it
	return append(out, b.Bytes()...), err
}

// key gives the message as JSON.
func (p *protoCodec) key(payload []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(p.message)
	if err := p.read.Unmarshal(payload, m); err != nil {
		return nil, plainly(err)
	}
	return p.jsonMessage(nil, m)
}
