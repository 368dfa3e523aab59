package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// exitRefused is what fault kinds cannot say: a table of whatever maker was not read.
const exitRefused = 8

func stateCommand(io func() streams) *cobra.Command {
	var at atFlags
	c := &cobra.Command{
		Use: "state PATH", Short: "All of a table as one JSON document: log and rows", Args: cobra.ExactArgs(1),
		Long: `All of a table at a version as one JSON document, for programs that compare: protocol, metadata, files, transactions, metadata domains
and rows (in the order of their JSON texts). Values that JSON lacks: decimals are strings, timestamps ISO with six digits (with a zone: Z),
binary hexadecimal, NaN and infinities strings, maps lists of [key, value], variants {"$variant": value}.

A table that is damaged or needs a feature that lakestep lacks gives nothing but one line on stderr, and exit code 8. Only where data files are
gone, the document is printed without its rows, with a line on stderr that says so: the log can still be read.`,
		Example: "  lakestep table state lake/silver/orders --version 3",
		RunE: func(c *cobra.Command, args []string) error {
			asOf, err := at.asOf()
			if err != nil {
				return err
			}
			s := io()
			if err := printState(c.Context(), s, args[0], asOf); err != nil {
				if fault.KindOf(err).Retryable() || errors.Is(err, context.Canceled) {
					return err
				}
				fmt.Fprintf(s.err, "refused: %s: %s\n", compose.Displayed(args[0]), oneLine(err))
				return errReported{exitRefused}
			}
			return nil
		},
	}
	at.add(c)
	return c
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// printState writes the document. Before the first byte, all of it is known to be readable.
func printState(ctx context.Context, s streams, path string, at delta.AsOf) error {
	t, err := openTable(ctx, path)
	if err != nil {
		return err
	}
	snap, err := t.Delta.Snapshot(ctx, at)
	if err != nil {
		return err
	}
	session, done, err := t.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	rows, err := sortedRows(ctx, session, t, snap)
	if fault.KindOf(err) == fault.SourceLost {
		fmt.Fprintf(s.err, "without rows: %s: %s\n", t.Name, oneLine(err))
		rows, err = "", nil
	}
	if err != nil {
		return err
	}
	return writeState(s.out, describeState(t.Name, snap), rows)
}

// tableState is the document, but for the rows.
type tableState struct {
	Table    string                 `json:"table"`
	Version  int64                  `json:"version"`
	Protocol delta.Protocol         `json:"protocol"`
	Metadata stateMetadata          `json:"metadata"`
	Files    []stateFile            `json:"files"`
	Txns     []delta.SetTransaction `json:"txns"`
	Domains  []delta.DomainMetadata `json:"domainMetadata"`
}

type stateMetadata struct {
	ID               string            `json:"id"`
	Name             *string           `json:"name"`
	Description      *string           `json:"description"`
	PartitionColumns []string          `json:"partitionColumns"`
	Configuration    map[string]string `json:"configuration"`
	CreatedTime      *int64            `json:"createdTime"`
	SchemaString     string            `json:"schemaString"`
}

type stateFile struct {
	Path                    string             `json:"path"`
	Size                    int64              `json:"size"`
	PartitionValues         map[string]*string `json:"partitionValues"`
	ModificationTime        int64              `json:"modificationTime"`
	NumRecords              *int64             `json:"numRecords,omitempty"`
	DV                      *stateVector       `json:"dv,omitempty"`
	BaseRowID               *int64             `json:"baseRowId,omitempty"`
	DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion,omitempty"`
	Tags                    map[string]string  `json:"tags,omitzero"`
}

type stateVector struct {
	UniqueID    string `json:"uniqueId"`
	Cardinality int64  `json:"cardinality"`
}

func describeState(name string, snap *delta.Snapshot) tableState {
	m := snap.Metadata()
	state := tableState{
		Table: name, Version: snap.Version(), Protocol: snap.Protocol(), Files: []stateFile{},
		Metadata: stateMetadata{
			ID: m.ID, Name: optional(m.Name), Description: optional(m.Description), PartitionColumns: append([]string{}, m.PartitionColumns...),
			Configuration: m.Configuration, CreatedTime: m.CreatedTime, SchemaString: m.SchemaString,
		},
		Txns: append([]delta.SetTransaction{}, snap.Txns()...), Domains: append([]delta.DomainMetadata{}, snap.Domains()...),
	}
	if m.Configuration == nil {
		state.Metadata.Configuration = map[string]string{}
	}
	for _, a := range snap.Files() {
		f := stateFile{
			Path: a.Path, Size: a.Size, PartitionValues: a.PartitionValues, ModificationTime: a.ModificationTime,
			BaseRowID: a.BaseRowID, DefaultRowCommitVersion: a.DefaultRowCommitVersion, Tags: a.Tags,
		}
		if f.PartitionValues == nil {
			f.PartitionValues = map[string]*string{}
		}
		if st, ok := delta.ParseStats(a.Stats); ok && !a.StatsParsed { // what the log says, not what it can be made to say
			f.NumRecords = &st.NumRecords
		}
		if dv := a.DeletionVector; dv != nil {
			f.DV = &stateVector{dv.UniqueID(), dv.Cardinality}
		}
		state.Files = append(state.Files, f)
	}
	return state
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// sortedRows writes the rows into a file of the session, one JSON object a line, sorted by their text. It spills, whatever their number.
func sortedRows(ctx context.Context, session *engine.Session, t target, snap *delta.Snapshot) (string, error) {
	f, err := os.Create(session.TempFile("rows.jsonl"))
	if err != nil {
		return "", fault.New(fault.Unavailable, "write", "rows", "%w", err)
	}
	defer f.Close()
	if err := rowsOf(ctx, session, t, snap, snap.Files(), " ORDER BY row", f); err != nil {
		return "", blame(ctx, session, t, snap, err)
	}
	return f.Name(), nil
}

func rowsOf(ctx context.Context, session *engine.Session, t target, snap *delta.Snapshot, files []delta.Add, order string, w io.Writer) error {
	relation, err := session.Relation(ctx, engine.NewScan(t.Store, t.Delta, snap, engine.Files(files)))
	if err != nil {
		return err
	}
	return session.WriteLines(ctx, fmt.Sprintf("SELECT row FROM (SELECT %s AS row FROM %s)%s", canonicalRow(snap.Schema()), relation, order), w)
}

// blame says which file an error comes from, where it does not say so itself: those of the engine within a damaged file do not.
func blame(ctx context.Context, session *engine.Session, t target, snap *delta.Snapshot, err error) error {
	for _, a := range snap.Files() {
		if ctx.Err() != nil || strings.Contains(err.Error(), a.Path) {
			return err
		}
	}
	for _, a := range snap.Files() {
		if found := rowsOf(ctx, session, t, snap, []delta.Add{a}, "", io.Discard); found != nil {
			return fault.New(fault.KindOf(found), "read", a.Path, "%w", found)
		}
	}
	return err
}

// writeState writes the document with the rows of a file; without, where it has no name.
func writeState(out io.Writer, state tableState, rows string) error {
	failed := func(err error) error { return fault.New(fault.Internal, "write", "output", "%w", err) }
	var head strings.Builder
	enc := json.NewEncoder(&head)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(state); err != nil {
		return failed(err)
	}
	w := bufio.NewWriter(out)
	_, _ = w.WriteString(strings.TrimSuffix(head.String(), "}\n")) // the last Flush tells of errors
	if rows != "" {
		f, err := os.Open(rows)
		if err != nil {
			return failed(err)
		}
		defer f.Close()
		_, _ = w.WriteString(`,"rows":[`)
		if err := joinLines(w, bufio.NewReader(f)); err != nil {
			return failed(err)
		}
		_, _ = w.WriteString("]")
	}
	_, _ = w.WriteString("}\n")
	if err := w.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

// joinLines copies lines, of whatever length, with commas between them.
func joinLines(w *bufio.Writer, lines *bufio.Reader) error {
	ended := false
	for {
		c, err := lines.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if ended {
			_, _ = w.WriteString(",\n")
		}
		if ended = c == '\n'; !ended {
			_ = w.WriteByte(c)
		}
	}
}
