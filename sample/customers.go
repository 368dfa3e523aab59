package sample

import (
	"fmt"
	"strings"
)

// customer is a line of customers.jsonl. All but the id and the dates is generated.
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

// moves is how many of the customers who buy in a later quarter move to another segment in it: one of 50.
const moves = 50

// customerFiles gives the customers of each quarter's file. It always goes through all quarters, so that a
// quarter's file does not depend on which others are written.
func customerFiles(orders []order) map[string][]customer {
	files := map[string][]customer{}
	current := map[string]customer{}
	for _, quarter := range Quarters() {
		seen := map[string]bool{}
		for _, o := range orders {
			if o.quarter() != quarter || seen[o.customer] {
				continue
			}
			seen[o.customer] = true
			c, known := current[o.customer]
			switch {
			case !known:
				c = generate(o)
			case hash(c.ID, quarter)%moves == 0:
				c.Segment = otherSegment(c, quarter)
				c.UpdatedAt = timestamp(quarterStart(quarter))
			default:
				continue
			}
			current[o.customer] = c
			files[quarter] = append(files[quarter], c)
		}
	}
	return files
}

func segments() []string { return []string{"consumer", "smb", "corporate", "enterprise"} }

// otherSegment is any segment but the customer's own.
func otherSegment(c customer, quarter string) string {
	var others []string
	for _, s := range segments() {
		if s != c.Segment {
			others = append(others, s)
		}
	}
	return pick(others, c.ID, "move "+quarter)
}

// generate invents the customer of a first order.
func generate(first order) customer {
	id, ts := first.customer, timestamp(first.date)
	given := []string{"Ana", "José", "Zoë", "Liam", "Wei", "Noor", "Ivan", "Mia", "Priya", "Søren"}
	family := []string{"Smith", "García", "O'Neil", "Novák", "Chen", "Khan", "Rossi", "Dubois", "Silva", "Müller"}
	forms := []string{"GmbH", "Ltd", "Inc", "SA", "BV"}
	countries := []string{"US", "US", "US", "DE", "FR", "GB", "ES", "IT", "NL", "BR"}
	return customer{
		ID:        id,
		Email:     strings.ToLower(id) + "@generated.example",
		Name:      pick(given, id, "given") + " " + pick(family, id, "family"),
		Company:   fmt.Sprintf("Generated %s %d", pick(forms, id, "form"), 1+hash(id, "company")%500),
		Country:   pick(countries, id, "country"),
		Segment:   pick(segments(), id, "segment"),
		CreatedAt: ts,
		UpdatedAt: ts,
	}
}

func pick(from []string, id, field string) string { return from[hash(id, field)%uint64(len(from))] }

// hash is FNV-1a with the finishing steps of SplitMix64: the same for ever, and even in its low bits.
func hash(id, field string) uint64 {
	z := uint64(14695981039346656037)
	for _, b := range []byte(id + "/" + field) {
		z = (z ^ uint64(b)) * 1099511628211
	}
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}
