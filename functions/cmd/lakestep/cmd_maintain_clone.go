package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

func cloneCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var at atFlags
	var shallow, dry bool
	c := &cobra.Command{
		Use: "clone --shallow TABLE|PATH TARGET", Short: "Make a table over another one's files, without copying them", Args: cobra.ExactArgs(2),
		Long: "Make a table in the folder TARGET (or s3:// URL) that begins with the rows of another one and names its files where they lie. What is written to the\n" +
			"clone is its own; the source is never changed through it. A vacuum of the source takes files away that the clone may still need.\n\n" +
			"Spark and delta-rs read such tables. lakestep itself reads no file outside a table's folder unless both lie in one lake.",
		Example: "  lakestep table clone --shallow silver.cleaned_orders /data/try/orders\n  lakestep table clone --shallow silver.cleaned_orders /data/try/orders --version 12",
		RunE: func(c *cobra.Command, args []string) error {
			if !shallow {
				return fault.New(fault.InvalidInput, "clone", compose.Displayed(args[0]), "only shallow clones are made").WithHint("say --shallow; for a copy of the data, copy the folder while nobody writes")
			}
			return cloneTable(c.Context(), g, io(), *dir, args[0], args[1], &at, dry)
		},
	}
	at.add(c)
	c.Flags().BoolVar(&shallow, "shallow", false, "name the source's files, do not copy them")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be made")
	return c
}

func cloneTable(ctx context.Context, g *globals, s streams, dir, name, to string, flags *atFlags, dry bool) error {
	at, err := flags.asOf()
	if err != nil {
		return err
	}
	t, err := g.target(ctx, dir, name)
	if err != nil {
		return err
	}
	base, ok := compose.RootURI(t.Root)
	if !ok {
		return fault.New(fault.InvalidInput, "clone", t.Name, "tables in folders and on S3 can be cloned").WithHint("copy the table instead")
	}
	st, err := compose.OpenStore(ctx, to)
	if err != nil {
		return err
	}
	clone := delta.Open(st, "", delta.Options{Now: func() time.Time { return time.Now().UTC() }, NewID: uuid.NewString, Engine: "lakestep/" + version,
		Resolve: compose.Resolver(t.Root)})
	out, err := maintenance.Clone(ctx, t.maintained(), clone, maintenance.CloneOptions{At: at, DryRun: dry, URI: func(key string) string { return base + delta.EncodePath(key) }})
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, out)
	}
	verb := "is"
	if dry {
		verb = "would be"
	}
	fmt.Fprintf(s.out, "%s %s a clone of %s, version %d: %s, %s, in place.\n", compose.Displayed(to), verb, t.Name, out.Source, some(int64(out.Files), "file"), size(out.Bytes))
	return nil
}
