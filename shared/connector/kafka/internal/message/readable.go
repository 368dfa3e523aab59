package message

import (
	"encoding/base64"
	"unicode/utf8"
)

// readable gives bytes as text: as they are where that is text that people can read, else in base64.
func readable(b []byte) string {
	if utf8.Valid(b) && !hasControl(b) {
		return string(b)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// hasControl tells whether there are control characters other than white space: then the bytes are no text, whatever UTF-8 makes of them.
func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return true
		}
	}
	return false
}
