package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store"
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
				return fault.New(fault.InvalidInput, "clone", displayed(args[0]), "only shallow clones are made").WithHint("say --shallow; for a copy of the data, copy the folder while nobody writes")
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
	base, ok := rootURI(t.Root)
	if !ok {
		return fault.New(fault.InvalidInput, "clone", t.Name, "tables in folders and on S3 can be cloned").WithHint("copy the table instead")
	}
	st, err := openStore(ctx, to)
	if err != nil {
		return err
	}
	clone := delta.Open(st, "", delta.Options{Now: func() time.Time { return time.Now().UTC() }, NewID: uuid.NewString, Engine: "lakestep/" + version,
		Resolve: resolver(t.Root)})
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
	fmt.Fprintf(s.out, "%s %s a clone of %s, version %d: %s, %s, in place.\n", displayed(to), verb, t.Name, out.Source, some(int64(out.Files), "file"), size(out.Bytes))
	return nil
}

// rootURI is the absolute URI of a folder or of a URL of S3, with a slash at its end; false for other stores, whose URIs engines write in several ways.
func rootURI(root string) (string, bool) {
	if !isURL(root) {
		abs, err := filepath.Abs(root)
		return "file://" + delta.EncodePath(filepath.ToSlash(abs)) + "/", err == nil
	}
	plain, _, _ := strings.Cut(root, "?")
	return strings.TrimSuffix(plain, "/") + "/", strings.HasPrefix(plain, "s3://")
}

// resolver gives the keys of absolute URIs below a root, and of no others.
func resolver(root string) func(uri string) (string, bool) {
	base, ok := rootURI(root)
	return func(uri string) (string, bool) {
		rest, below := strings.CutPrefix(uri, base)
		key, err := url.PathUnescape(rest)
		return key, ok && below && err == nil && store.CheckKey(key) == nil
	}
}
