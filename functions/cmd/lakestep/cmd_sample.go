package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/sample"
	"github.com/lakestep/lakestep/shared/fault"
)

// sampleFirst is how many quarters the first call lands: the rest is for `--next`.
const sampleFirst = 4

func sampleCommand(io func() streams) *cobra.Command {
	var next bool
	c := &cobra.Command{
		Use:   "sample [FOLDER]",
		Short: "Land the sample data: real purchases at CDNOW, 1997 to 1998",
		Long: "Write landing files of the retail pipeline into a folder (default landing/retail): the first four quarters of CDNOW's purchases.\n" +
			"Files that are there stay as they are. --next lands one more quarter. Customers and products are generated, and say so.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "landing/retail"
			if len(args) == 1 {
				dir = args[0]
			}
			return landSample(io(), dir, next)
		},
	}
	c.Flags().BoolVar(&next, "next", false, "land the next quarter")
	return c
}

func landSample(s streams, dir string, next bool) error {
	have := 0
	for _, q := range sample.Quarters() {
		if _, err := os.Stat(filepath.Join(dir, q, "orders")); err == nil {
			have++
		}
	}
	want := max(have, sampleFirst)
	if next {
		want = have + 1
	}
	if want > len(sample.Quarters()) {
		return fault.New(fault.InvalidInput, "land", dir, "all %d quarters of the sample data have landed", have)
	}
	sum, err := sample.Write(dir, sample.Quarters()[:want]...)
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, sum)
	}
	if sum.Written == 0 {
		fmt.Fprintf(s.out, "Sample data: %d quarters are in %s.\n", want, dir)
		return nil
	}
	fmt.Fprintf(s.out, "Sample data: %d files landed in %s, quarters up to %s: %s orders of CDNOW's customers (real), %d customer records (generated).\n",
		sum.Written, dir, sample.Quarters()[want-1], count(int64(sum.Orders)), sum.Customers)
	return nil
}
