package servicetest_test

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// killAfterLine runs a program until it prints a line that starts so, kills it, and gives the rest of the line's words.
func killAfterLine(t *testing.T, cmd *exec.Cmd, prefix string) []string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	var all strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strings.Fields(rest)
		}
	}
	t.Fatalf("the program ended without a line %q:\n%s", prefix, all.String())
	return nil
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain until " + what)
		}
	}
}
