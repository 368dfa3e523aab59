package connector

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ColumnNames makes a source's names fit for a Delta table. What Parquet readers cannot stand (" ,;{}()=" and control characters) becomes
// "_"; an empty name is column_N; one that begins with "_" (lakestep's own do) or is the engine's own gets an "x" before it; of names that
// differ in case only, the later ones get a number behind.
func ColumnNames(names []string) []string {
	seen := map[string]bool{}
	out := make([]string, len(names))
	for i, n := range names {
		n = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" ,;{}()=", r) || unicode.IsControl(r) {
				return '_'
			}
			return r
		}, strings.TrimSpace(n))
		switch {
		case n == "":
			n = "column_" + strconv.Itoa(i+1)
		case strings.HasPrefix(n, "_"):
			n = "x" + n
		case slices.Contains(engineColumns, strings.ToLower(n)):
			n = "x_" + n
		}
		out[i] = n
		for k := 2; seen[strings.ToLower(out[i])]; k++ {
			out[i] = n + "_" + strconv.Itoa(k)
		}
		seen[strings.ToLower(out[i])] = true
	}
	return out
}

// engineColumns are columns that the SQL engine gives every file: a stored column of that name would hide them.
var engineColumns = []string{"file_row_number", "file_index", "filename"}
