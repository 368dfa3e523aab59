package sample

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// order is one line of the original.
type order struct {
	id       int    // its number, from 1
	customer string // C00001
	date     time.Time
	quantity int64
	cents    int64 // dollar value of the whole purchase
}

// unitCents is the price of one CD, half a cent rounded up.
func (o order) unitCents() int64 {
	if o.quantity == 0 {
		return 0
	}
	return (2*o.cents + o.quantity) / (2 * o.quantity)
}

func (o order) quarter() string { return quarterOf(o.date) }

func quarterOf(t time.Time) string { return fmt.Sprintf("%dq%d", t.Year(), (t.Month()+2)/3) }

// quarterStart is the first day of a quarter named as Quarters does.
func quarterStart(quarter string) time.Time {
	year, _ := strconv.Atoi(quarter[:4])
	return time.Date(year, time.Month(3*int(quarter[5]-'1')+1), 1, 0, 0, 0, 0, time.UTC)
}

func timestamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

// readOrders reads the original, which is in the order of its customers and their purchases.
func readOrders(compressed io.Reader) ([]order, error) {
	text, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, err
	}
	var orders []order
	sc := bufio.NewScanner(text)
	sc.Scan() // header
	for sc.Scan() {
		o, err := parseOrder(strings.Fields(sc.Text()))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(orders)+2, err)
		}
		o.id = len(orders) + 1
		orders = append(orders, o)
	}
	return orders, sc.Err()
}

func parseOrder(f []string) (o order, err error) {
	if len(f) != 4 || len(f[0]) != 5 {
		return o, fmt.Errorf("%d fields %q", len(f), f)
	}
	o.customer = "C" + f[0]
	if o.date, err = time.Parse("20060102", f[1]); err != nil {
		return o, err
	}
	if o.quantity, err = strconv.ParseInt(f[2], 10, 64); err != nil {
		return o, err
	}
	whole, fraction, ok := strings.Cut(f[3], ".")
	if !ok || len(fraction) != 2 {
		return o, fmt.Errorf("dollar value %q has not two decimals", f[3])
	}
	o.cents, err = strconv.ParseInt(whole+fraction, 10, 64)
	return o, err
}
