package message

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector/internal/avrorow"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// Format says how a value or a key is written.
type Format string

// The formats. The first three are Confluent's wire format: a zero byte, the schema's id in four bytes, the value.
const (
	Avro       Format = "avro"
	JSONSchema Format = "json_schema"
	Protobuf   Format = "protobuf"
	JSON       Format = "json"
	Text       Format = "text"
	Binary     Format = "binary"
)

// NeedsRegistry tells whether values are of schemas that a registry has.
func (f Format) NeedsRegistry() bool { return f == Avro || f == JSONSchema || f == Protobuf }

// schemaType is the registry's word for a format.
func (f Format) schemaType() string {
	return map[Format]string{Avro: "AVRO", JSONSchema: "JSON", Protobuf: "PROTOBUF"}[f]
}

// formatOf is the format of a registry's schema.
func formatOf(s *Schema) Format {
	switch s.Type {
	case "JSON":
		return JSONSchema
	case "PROTOBUF":
		return Protobuf
	}
	return Avro
}

// An error of a codec is the message's own fault: it goes to the rejected rows. Faults are those of others: the page cannot be read.

// codec decodes the values of one schema, whose columns are known before.
type codec interface {
	columns() []spool.Column
	reader(rows *spool.Rows) reader
}

// reader decodes values, and appends the newest to the first columns of its rows.
type reader interface {
	decode(payload []byte) error
	Append()
}

// openCodec decodes values into fields: which there are, each value says itself.
type openCodec interface {
	fields(payload []byte, o *object) error
}

// keyCodec gives a value as the text of a key. Nil is null.
type keyCodec interface {
	key(payload []byte) ([]byte, error)
}

// codecKey is what a codec is made of; path says which message of a Protobuf file.
type codecKey struct {
	format Format
	id     int32
	path   string
}

// codec gives the codec of a schema of the registry.
func (r *Registry) codec(ctx context.Context, k codecKey) (any, error) {
	r.mu.Lock()
	c, ok := r.codecs[k]
	r.mu.Unlock()
	if ok {
		return c, nil
	}
	s, err := r.byID(ctx, k.id)
	if err != nil {
		return nil, err
	}
	if c, err = r.compile(ctx, k, s); err != nil {
		return nil, fmt.Errorf("schema %d: %w", k.id, err)
	}
	r.mu.Lock()
	r.codecs[k] = c
	r.mu.Unlock()
	return c, nil
}

func (r *Registry) compile(ctx context.Context, k codecKey, s *Schema) (any, error) {
	if formatOf(s) != k.format {
		return nil, fmt.Errorf("it is of type %s, the stream's format is %s", formatOf(s).schemaType(), k.format)
	}
	references, err := r.referenced(ctx, s)
	if err != nil {
		return nil, err
	}
	switch k.format {
	case Protobuf:
		return newProto(ctx, s.Text, references, k.path)
	case JSONSchema:
		return newJSONSchema(s.Text, references)
	}
	texts := make([]string, len(references))
	for i, ref := range references {
		texts[i] = ref.text
	}
	c, err := avrorow.New(s.Text, texts...)
	return avroCodec{c}, err
}

// valueColumn is the column of values that have no fields.
const valueColumn = "value"

// avroCodec decodes Avro.
type avroCodec struct{ *avrorow.Codec }

func (a avroCodec) columns() []spool.Column            { return a.Columns() }
func (a avroCodec) reader(rows *spool.Rows) reader     { return avroReader{a.Row(rows, 0)} }
func (a avroCodec) key(payload []byte) ([]byte, error) { return a.Text(payload) }

type avroReader struct{ *avrorow.Row }

func (a avroReader) decode(payload []byte) error {
	rest, err := a.Decode(payload)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left behind the value", len(rest))
	}
	return err
}

var (
	errNoWire   = errors.New("no schema id before the value: it was not written with a schema registry's serializer")
	errNoSchema = errors.New("a value without a schema id")
	errNoPath   = errors.New("no path to the message's type behind the schema id")
)

// maxSteps bounds how deep a message's type is within others.
const maxSteps = 100

// wire takes the schema's id off a payload, and for Protobuf the path to the message within the schema.
func wire(f Format, payload []byte) (k codecKey, body []byte, err error) {
	if len(payload) == 0 {
		return k, nil, errNoSchema
	}
	if len(payload) < 5 || payload[0] != 0 {
		return k, nil, errNoWire
	}
	k = codecKey{format: f, id: int32(binary.BigEndian.Uint32(payload[1:]))}
	if body = payload[5:]; f != Protobuf {
		return k, body, nil
	}
	if len(body) > 0 && body[0] == 0 { // short for the first message
		return k, body[1:], nil
	}
	return k.at(body)
}

// at takes the path to a message off a payload: the number of steps, and each.
func (k codecKey) at(body []byte) (codecKey, []byte, error) {
	steps, n := binary.Varint(body)
	if n <= 0 || steps < 1 || steps > maxSteps {
		return k, nil, errNoPath
	}
	var path strings.Builder
	for range steps {
		body = body[n:]
		var i int64
		if i, n = binary.Varint(body); n <= 0 || i < 0 || i > 1<<16 {
			return k, nil, errNoPath
		}
		path.WriteString(strconv.FormatInt(i, 10) + "/")
	}
	k.path = path.String()
	return k, body[n:], nil
}
