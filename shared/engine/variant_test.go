package engine

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// Each type of a variant, as Parquet's "Variant Binary Encoding" has it, by hand: the metadata names "a" and "bc".
func TestVariants(t *testing.T) {
	const names = "01" + "02" + "00" + "01" + "03" + "616263"
	for value, want := range map[string]string{
		"00":                             "null",
		"04":                             "true",
		"08":                             "false",
		"0c" + "80":                      "-128",
		"10" + "ff7f":                    "32767",
		"14" + "00000080":                "-2147483648",
		"18" + "ffffffffffffff7f":        "9223372036854775807",
		"1c" + "000000000000f83f":        "1.5",
		"1c" + "000000000000f07f":        `"Infinity"`,
		"1c" + "000000000000f0ff":        `"-Infinity"`,
		"1c" + "000000000000f87f":        `"NaN"`,
		"1c" + "0000000000000840":        "3.0",
		"20" + "02" + "7bffffff":         "-1.33",
		"20" + "04" + "64000000":         "0.01",
		"24" + "00" + "0100000000000080": "-9223372036854775807",
		"28" + "01" + "ffffffffffffffffffffffffffffff7f": "17014118346046923173168730371588410572.7",
		"2c" + "ffffffff":                         `"1969-12-31"`,
		"30" + "ffffffffffffffff":                 `"1969-12-31 23:59:59.999999+00:00"`,
		"34" + "0000000000000000":                 `"1970-01-01 00:00:00"`,
		"38" + "cdcccc3d":                         "0.10000000149011612",
		"3c" + "02000000" + "00ff":                `"AP8="`,
		"40" + "03000000" + "c3a922":              `"é\""`,
		"50" + "00112233445566778899aabbccddeeff": `"00112233-4455-6677-8899-aabbccddeeff"`,
		"09" + "6869":                             `"hi"`,
		"01":                                      `""`,
		"03" + "02" + "00" + "01" + "03" + "00" + "0c07": `[null,7]`,
		"03" + "00" + "00": `[]`,
		"02" + "02" + "00" + "01" + "00" + "02" + "03" + "0c0100": `{"a":1,"bc":null}`,
		"02" + "01" + "01" + "00" + "03" + "030000":               `{"bc":[]}`,
		"13" + "01000000" + "00" + "01" + "04":                    `[true]`,
		// What is damaged is refused.
		"":                                      "damaged variant",
		"0c":                                    "damaged variant",
		"54":                                    "unknown type 21",
		"0d" + "6869":                           "damaged variant",
		"40" + "ffffff7f":                       "damaged variant",
		"03" + "ff" + "00":                      "damaged variant",
		"13" + "ffffffff":                       "damaged variant",
		"02" + "01" + "07" + "00" + "01" + "00": "damaged variant", // no such name
		"03" + "01" + "09" + "09":               "damaged variant",
	} {
		metadata, _ := hex.DecodeString(names)
		raw, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeVariant(metadata, raw)
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// A variant whose parts are one another would grow without end.
func TestVariantThatHoldsItself(t *testing.T) {
	raw := []byte{0}
	for range 40 {
		raw = append([]byte{3, 2, 0, 0, 0}, raw...) // an array of two, each of which is what stood here before
	}
	if text, err := decodeVariant([]byte{1, 0, 0}, raw); err == nil {
		t.Errorf("%d bytes of text", len(text))
	}
}

// FuzzVariant: any variant gives JSON or is refused, without a panic and within bounded memory.
func FuzzVariant(f *testing.F) {
	f.Add([]byte{1, 2, 0, 1, 3, 'a', 'b', 'c'}, []byte{2, 2, 0, 1, 0, 2, 3, 12, 1, 0})
	f.Add([]byte{1, 0, 0}, []byte{3, 1, 0, 1, 4})
	f.Fuzz(func(t *testing.T, metadata, value []byte) {
		text, err := decodeVariant(metadata, value)
		if err == nil && !json.Valid([]byte(text)) {
			t.Errorf("%q", text)
		}
	})
}
