package postgres

import "github.com/apache/arrow-go/v18/arrow"

// Dates and instants of the years 1 to 9999 are kept as such: those are what Delta's other readers can show, and what the server prints in one
// form. Others, and infinity, are kept as text beside the column.

const (
	dayMicros   = 24 * 60 * 60 * 1e6
	epochOfDays = 719468 // from 0000-03-01 to 1970-01-01
)

// parseDate reads YYYY-MM-DD.
func parseDate(b []byte) (arrow.Date32, bool) {
	if len(b) != 10 {
		return 0, false
	}
	return dateOf(b)
}

// dateOf reads the first ten bytes as a date.
func dateOf(b []byte) (arrow.Date32, bool) {
	if b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	century, ok1 := twoDigits(b, 0)
	year, ok2 := twoDigits(b, 2)
	month, ok3 := twoDigits(b, 5)
	day, ok4 := twoDigits(b, 8)
	year += 100 * century
	if !ok1 || !ok2 || !ok3 || !ok4 || year == 0 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	return arrow.Date32(daysOf(year, month, day)), true
}

// daysOf counts the days from 1970-01-01, of years that begin in March: so the leap day is the last of a year.
func daysOf(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	ofYear := (153*(month-3)+2)/5 + day - 1
	return year*365 + year/4 - year/100 + year/400 + ofYear - epochOfDays
}

func twoDigits(b []byte, at int) (int, bool) {
	x, y := b[at]-'0', b[at+1]-'0'
	return int(x)*10 + int(y), x <= 9 && y <= 9
}

// parseTimestamp reads YYYY-MM-DD HH:MM:SS and up to six digits of a second: an instant without a zone is taken as UTC.
func parseTimestamp(b []byte) (arrow.Timestamp, bool) {
	if len(b) < 19 || len(b) > 26 || b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	day, ok0 := dateOf(b)
	hour, ok1 := twoDigits(b, 11)
	minute, ok2 := twoDigits(b, 14)
	second, ok3 := twoDigits(b, 17)
	micros, ok4 := fraction(b[19:])
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 {
		return 0, false
	}
	return arrow.Timestamp(int64(day)*dayMicros + int64(hour*3600+minute*60+second)*1e6 + micros), true
}

// fraction reads "" or a point with one to six digits, in millionths.
func fraction(b []byte) (micros int64, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != '.' || len(b) < 2 {
		return 0, false
	}
	for i := 1; i <= 6; i++ {
		micros *= 10
		if i < len(b) {
			d := b[i] - '0'
			if d > 9 {
				return 0, false
			}
			micros += int64(d)
		}
	}
	return micros, true
}

// parseTimestampTZ reads an instant of a session whose zone is UTC.
func parseTimestampTZ(b []byte) (arrow.Timestamp, bool) {
	n := len(b) - 3
	if n < 0 || text(b[n:]) != "+00" {
		return 0, false
	}
	return parseTimestamp(b[:n])
}
