package shell

import (
	"context"
	"os/exec"
)

func shellCommand(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "cmd", "/C", command)
}

// Windows has no process groups to kill: what a command started may outlive it.
func ownGroup(*exec.Cmd) {}

func endGroup(*exec.Cmd) {}
