package main

import (
	"os/exec"
	"syscall"
)

// chroot lets a command see a folder as the whole file system.
func chroot(cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/var/task"
}
