package main

import (
	"context"
	"os"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// openSource is the registry of connectors.
func openSource(ctx context.Context, p *pipeline.Pipeline, src pipeline.Source) (connector.Source, error) {
	cfg := src.Config(p.Name)
	switch src.Connector {
	case "files":
		return openFiles(ctx, cfg)
	}
	return nil, fault.New(fault.InvalidInput, "open source", src.Name, "there is no connector %q", src.Connector)
}

func openFiles(ctx context.Context, cfg connector.Config) (connector.Source, error) {
	path := cfg.Settings.Text("path", "")
	if info, err := os.Stat(path); !isURL(path) && (err != nil || !info.IsDir()) {
		return nil, fault.New(fault.InvalidInput, "open source", cfg.Name, "there is no folder %s", path).
			WithHint("make it, or name another one (%s)", cfg.At)
	}
	s, err := openStore(ctx, path)
	if err != nil {
		return nil, err
	}
	return files.New(s, cfg)
}
