package avrorow

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/lakestep/lakestep/shared/connector/internal/cells"
)

// Text gives one value, which is the whole payload, as text: JSON, but a value without parts as it is, without quotes. Nil is null.
func (c *Codec) Text(payload []byte) ([]byte, error) {
	var in input
	in.begin(payload)
	var text []byte
	isText := c.bare && c.columns[0].Type == arrow.DataType(arrow.BinaryTypes.String)
	if isText {
		var v cells.Cell
		c.readers[0](&in, &v)
		text = v.Text
	} else {
		text = c.whole(&in, nil)
	}
	rest, err := in.end()
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("%d bytes are left behind the value", len(rest))
	case isText || !c.bare:
		return text, nil
	case string(text) == "null": // without quotes it is no text
		return nil, nil
	}
	return bytes.Trim(text, `"`), nil
}
