package sample_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/sample"
	"github.com/lakestep/lakestep/shared/fault"
)

func write(t *testing.T, dir string, quarters ...string) sample.Summary {
	t.Helper()
	s, err := sample.Write(dir, quarters...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// source reads the original once more, by other means than the package: dollars as fractions.
func source(t *testing.T) (rows [][]string, dollars *big.Rat) {
	t.Helper()
	f, err := os.Open("cdnow/CDNOW_master.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dollars = new(big.Rat)
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		row := strings.Fields(sc.Text())
		if row[0] == "customer_id" {
			continue
		}
		value, ok := new(big.Rat).SetString(row[3])
		if !ok {
			t.Fatalf("row %q", row)
		}
		dollars.Add(dollars, value)
		rows = append(rows, row)
	}
	return rows, dollars
}

func readOrders(t *testing.T, dir string) (orders [][]string) {
	t.Helper()
	for _, q := range sample.Quarters() {
		f, err := os.Open(filepath.Join(dir, q, "orders", "orders_"+q+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"order_id", "customer_id", "product_id", "quantity", "unit_price", "currency", "status", "order_ts", "updated_at"}
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Errorf("header of %s (-want +got):\n%s", q, diff)
		}
		for _, r := range rows[1:] {
			if got := quarter(t, r[7]); got != q {
				t.Fatalf("order %v is in the file of %s", r, q)
			}
		}
		orders = append(orders, rows[1:]...)
	}
	return orders
}

func quarter(t *testing.T, ts string) string {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", ts)
	if err != nil {
		t.Fatal(err)
	}
	return at.Format("2006") + "q" + string("_111222333444"[at.Month()])
}

// Every line of the original is exactly one order, with its values; the only change is the rounding of the
// unit price, which the Summary counts to the cent.
func TestOrdersAgainstTheOriginal(t *testing.T) {
	dir := t.TempDir()
	sum := write(t, dir)
	rows, dollars := source(t)
	orders := readOrders(t, dir)
	if len(rows) != 69_659 || len(orders) != len(rows) || sum.Orders != len(rows) {
		t.Fatalf("original %d rows, files %d, summary %d; want 69659", len(rows), len(orders), sum.Orders)
	}
	byID := map[string][]string{}
	for _, o := range orders {
		byID[o[0]] = o
	}
	total := new(big.Rat)
	for i, r := range rows {
		o := byID[big.NewInt(int64(i+1)).String()]
		day := r[1][:4] + "-" + r[1][4:6] + "-" + r[1][6:]
		want := []string{o[0], "C" + r[0], "CD", r[2], o[4], "USD", "shipped", day + "T00:00:00.000Z", day + "T00:00:00.000Z"}
		if diff := cmp.Diff(want, o); diff != "" {
			t.Fatalf("order %d (-want +got):\n%s", i+1, diff)
		}
		quantity, _ := new(big.Rat).SetString(o[3])
		price, _ := new(big.Rat).SetString(o[4])
		value, _ := new(big.Rat).SetString(r[3])
		exact := new(big.Rat).Quo(value, quantity)
		// Half up: price - 1/200 <= exact < price + 1/200.
		if d := new(big.Rat).Sub(exact, price); d.Cmp(big.NewRat(-1, 200)) < 0 || d.Cmp(big.NewRat(1, 200)) >= 0 {
			t.Fatalf("order %d: %s for %s CDs makes %s each", i+1, r[3], r[2], o[4])
		}
		total.Add(total, price.Mul(price, quantity))
	}
	if got := big.NewRat(sum.DollarCents, 100); got.Cmp(dollars) != 0 || sum.DollarCents != 250_031_563 {
		t.Errorf("summary says %s dollars, the original %s", got.FloatString(2), dollars.FloatString(2))
	}
	if got := total.Sub(total, dollars); got.Cmp(big.NewRat(sum.RoundingCents, 100)) != 0 {
		t.Errorf("rounding changes the total by %s, the summary says %d cents", got.FloatString(2), sum.RoundingCents)
	}
	t.Logf("%+v", sum)
}

type customer struct {
	ID        string `json:"customer_id"`
	Email     string `json:"email"`
	Name      string `json:"name"`
	Company   string `json:"company"`
	Country   string `json:"country"`
	Segment   string `json:"segment"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func readCustomers(t *testing.T, dir, q string) (all []customer) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, q, "customers", "customers.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	for {
		var c customer
		if err := dec.Decode(&c); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

// The first quarter has every customer once, from the day of the first purchase; each line of a later one
// changes the segment, and nothing else, of a customer who buys in that quarter.
func TestCustomers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir)
	first, active := map[string]string{}, map[string]bool{}
	for _, o := range readOrders(t, dir) {
		if first[o[1]] == "" || o[7] < first[o[1]] {
			first[o[1]] = o[7]
		}
		active[o[1]+quarter(t, o[7])] = true
	}
	current := map[string]customer{}
	for i, q := range sample.Quarters() {
		all := readCustomers(t, dir, q)
		for _, c := range all {
			if !strings.HasSuffix(c.Email, "@generated.example") || !strings.HasPrefix(c.Company, "Generated ") {
				t.Fatalf("%+v is not labelled as generated", c)
			}
			if c.CreatedAt != first[c.ID] || !active[c.ID+q] || quarter(t, c.UpdatedAt) != q {
				t.Fatalf("%s: %+v, first order %s", q, c, first[c.ID])
			}
			before, known := current[c.ID]
			current[c.ID] = c
			if !known {
				continue
			}
			if c.Segment == before.Segment || c.UpdatedAt <= before.UpdatedAt {
				t.Fatalf("%s: %+v changes nothing of %+v", q, c, before)
			}
			before.Segment, before.UpdatedAt = c.Segment, c.UpdatedAt
			if c != before {
				t.Fatalf("%s: %+v changes more than the segment", q, c)
			}
		}
		buyers := 0
		for _, c := range current {
			if active[c.ID+q] {
				buyers++
			}
		}
		t.Logf("%s: %d lines, %d buyers", q, len(all), buyers)
		if share := float64(len(all)) / float64(buyers); i > 0 && (share < 0.01 || share > 0.03) {
			t.Errorf("%s: %d of %d buyers change, want 2%%", q, len(all), buyers)
		}
	}
	if len(current) != 23_570 {
		t.Errorf("%d customers, want 23570", len(current))
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The same bytes come out each time, also when the quarters are written one at a time and in another order.
func TestSameBytes(t *testing.T) {
	all, parts := t.TempDir(), t.TempDir()
	write(t, all)
	for i := range sample.Quarters() {
		write(t, parts, sample.Quarters()[len(sample.Quarters())-1-i])
	}
	a, b := files(t, all), files(t, parts)
	if len(a) != 13 {
		t.Errorf("%d files, want orders and customers of six quarters, and products", len(a))
	}
	for name := range a {
		if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
		delete(b, name)
	}
	if len(b) > 0 {
		t.Errorf("more files: %d", len(b))
	}
}

func TestExistingFiles(t *testing.T) {
	dir := t.TempDir()
	if s := write(t, dir, "1998q2"); s.Written != 2 || s.Kept != 0 {
		t.Errorf("first: %+v", s)
	}
	path := filepath.Join(dir, "1998q2", "orders", "orders_1998q2.csv")
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if s := write(t, dir, "1998q2"); s.Written != 0 || s.Kept != 2 || s.Orders == 0 {
		t.Errorf("second: %+v", s)
	}
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the file was touched: %v, %v", info.ModTime(), err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sample.Write(dir, "1998q2")
	if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
		t.Errorf("over another file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "mine" {
		t.Error("the other file was overwritten")
	}
}

func TestUnknownQuarter(t *testing.T) {
	dir := t.TempDir()
	_, err := sample.Write(dir, "1997q1", "1999q1")
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "1998q2") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("wrote %d files all the same", len(got))
	}
}
