// Package sample writes the data of `make run` as landing files of the retail pipeline.
//
// The orders are real: the purchases of CDNOW (see cdnow/README.md). Each line of the original becomes one
// order: order_id is its number in the file, customer_id C and five digits, product_id CD, quantity the number
// of CDs, unit_price the dollar value divided by the quantity, half a cent rounded up; order_ts and updated_at
// are the date at midnight UTC. Equal lines stay separate orders. Summary says what the rounding changes.
//
// Customers and the one product are not in the original. They are generated, always the same, and say so in
// their values (c00001@generated.example, "Generated GmbH 12").
//
// A quarter is a folder:
//
//	1997q1/orders/orders_1997q1.csv  1997q1/customers/customers.jsonl  1997q1/products/products.csv
//
// with the customers who first bought in it and, in later quarters, some who moved to another segment. Only the
// first has products.
package sample

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

//go:embed cdnow/CDNOW_master.txt.gz
var original []byte

// Summary counts what Write wrote, or found as it should be.
type Summary struct {
	Quarters  []string `json:"quarters"`
	Orders    int      `json:"orders"`
	Customers int      `json:"customers"` // new ones and changes
	Products  int      `json:"products"`

	Written int `json:"files_written"`
	Kept    int `json:"files_kept"`

	DollarCents   int64 `json:"dollar_cents"`   // of the orders in the original, in cents
	RoundingCents int64 `json:"rounding_cents"` // sum of quantity * unit_price, less DollarCents
	Rounded       int   `json:"rounded"`        // orders whose quantity * unit_price is not the original's dollar value
	Free          int   `json:"free"`           // orders with a unit_price of 0.00
	NoQuantity    int   `json:"no_quantity"`    // orders with a quantity of 0, which the pipeline's rules quarantine
}

// Quarters lists the quarters of the data in order: 1997q1 to 1998q2.
func Quarters() []string {
	return []string{"1997q1", "1997q2", "1997q3", "1997q4", "1998q1", "1998q2"}
}

// Write writes the named quarters (none named: all) under dir. A file that is there with the same content is
// left alone; one with another content is an InvalidInput fault, and stays. Files appear whole.
func Write(dir string, quarters ...string) (Summary, error) {
	if len(quarters) == 0 {
		quarters = Quarters()
	}
	for _, q := range quarters {
		if !slices.Contains(Quarters(), q) {
			return Summary{}, fault.New(fault.InvalidInput, "write sample", q, "no such quarter").
				WithHint("the quarters are %s", strings.Join(Quarters(), ", "))
		}
	}
	orders, err := readOrders(bytes.NewReader(original))
	if err != nil {
		return Summary{}, fault.New(fault.Internal, "read sample", "cdnow", "%w", err)
	}
	customers := customerFiles(orders)
	sum := Summary{Quarters: quarters}
	for _, q := range quarters {
		if err := sum.writeQuarter(dir, q, orders, customers[q]); err != nil {
			return Summary{}, err
		}
	}
	return sum, nil
}

func (s *Summary) writeQuarter(dir, quarter string, orders []order, customers []customer) error {
	var mine []order
	for _, o := range orders {
		if o.quarter() == quarter {
			mine = append(mine, o)
			s.count(o)
		}
	}
	csvFile, err := ordersCSV(mine)
	if err != nil {
		return err
	}
	if err := s.save(filepath.Join(dir, quarter, "orders", "orders_"+quarter+".csv"), csvFile); err != nil {
		return err
	}
	lines, err := customersJSONL(customers)
	if err != nil {
		return err
	}
	if len(customers) > 0 {
		if err := s.save(filepath.Join(dir, quarter, "customers", "customers.jsonl"), lines); err != nil {
			return err
		}
	}
	s.Customers += len(customers)
	if quarter != Quarters()[0] {
		return nil
	}
	s.Products++
	return s.save(filepath.Join(dir, quarter, "products", "products.csv"), []byte(productsCSV))
}

func (s *Summary) count(o order) {
	s.Orders++
	s.DollarCents += o.cents
	if lost := o.quantity*o.unitCents() - o.cents; lost != 0 {
		s.RoundingCents += lost
		s.Rounded++
	}
	if o.unitCents() == 0 {
		s.Free++
	}
	if o.quantity == 0 {
		s.NoQuantity++
	}
}

const productsCSV = `product_id,product_name,category,brand,unit_cost,active
CD,Compact disc (generated),music,Generated,8.00,true
`

func ordersCSV(orders []order) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	row := strings.Split("order_id,customer_id,product_id,quantity,unit_price,currency,status,order_ts,updated_at", ",")
	for i := 0; ; i++ {
		if err := w.Write(row); err != nil {
			return nil, fmt.Errorf("orders: %w", err)
		}
		if i == len(orders) {
			break
		}
		o := orders[i]
		ts := timestamp(o.date)
		row = []string{
			strconv.Itoa(o.id), o.customer, "CD", strconv.FormatInt(o.quantity, 10),
			fmt.Sprintf("%d.%02d", o.unitCents()/100, o.unitCents()%100), "USD", "shipped", ts, ts,
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func customersJSONL(customers []customer) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, c := range customers {
		if err := enc.Encode(c); err != nil {
			return nil, fmt.Errorf("customers: %w", err)
		}
	}
	return b.Bytes(), nil
}
