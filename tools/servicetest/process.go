package servicetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a service's process group, which can be stopped and started again, and its folder. Both are gone when it is closed or when the
// test's own process ends, in whatever way: a shell waits for that.
type process struct {
	name  string
	dir   string // removed in the end
	from  int64  // where in the log the output of the last start begins
	guard *exec.Cmd
	line  io.WriteCloser // to the guard: the number of the group that runs, 0 for none

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil when stopped
	done chan struct{} // closed when cmd has ended
}

// guardScript keeps what stands in its last line of input. When the input ends, the group of that number is killed and the folder removed.
const guardScript = `
group=0
while read -r line; do group=$line; done
if [ "$group" != 0 ]; then
	kill -s "$2" -- "-$group"
	n=0
	while kill -s 0 -- "-$group" && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
	kill -s KILL -- "-$group"
fi
rm -rf "$1"`

// newProcess makes the folder of a service, and its guard, which ends the service with a signal that it cannot survive for long.
func newProcess(name, signal string) (*process, error) {
	dir, err := os.MkdirTemp("", "lakestep-"+name+"-")
	if err != nil {
		return nil, err
	}
	p := &process{name: name, dir: dir, guard: exec.Command("sh", "-c", guardScript, "sh", dir, signal)}
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the test
	if p.line, err = p.guard.StdinPipe(); err == nil {
		err = p.guard.Start()
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return p, nil
}

// close ends the service for good.
func (p *process) close() {
	_ = p.line.Close()
	_ = p.guard.Wait()
}

// closed closes a service whose start failed, and gives the error.
func (p *process) closed(err error) error {
	if err != nil {
		p.close()
	}
	return err
}

func (p *process) logPath() string { return filepath.Join(p.dir, "log") }

// output is the end of what the service printed.
func (p *process) output() string {
	const most = 20_000
	text, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// start runs the service's command, and waits until it is ready.
func (p *process) start(cmd *exec.Cmd, ready func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if p.from, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.Dir == "" {
		cmd.Dir = p.dir
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	fmt.Fprintln(p.line, cmd.Process.Pid)
	go func() {
		_ = cmd.Wait() // it was killed
		close(done)
	}()
	return p.await(ready)
}

// prints is readiness that shows in the output since the last start.
func (p *process) prints(text string) func() error {
	return func() error {
		log, err := os.ReadFile(p.logPath())
		if err != nil {
			return err
		}
		if !bytes.Contains(log[p.from:], []byte(text)) {
			return fmt.Errorf("it has not printed %q", text)
		}
		return nil
	}
}

// await tries until the service is ready, has ended or has had its time.
func (p *process) await(ready func() error) error {
	deadline := time.After(startLimit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended (%w):\n%s", p.name, err, p.output())
		case <-deadline:
			return fmt.Errorf("%s is not ready (%w):\n%s", p.name, err, p.output())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// stop sends a signal, and kills what has not ended after the time.
func (p *process) stop(signal syscall.Signal, within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, signal)
	select {
	case <-p.done:
	case <-time.After(within):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // also what the process left behind in its group
	<-p.done
	p.cmd = nil
	fmt.Fprintln(p.line, 0)
}

// ends has the service end with the test, and shows what it printed if the test failed.
func (p *process) ends(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that %s printed:\n%s", p.name, p.output())
		}
		p.close()
	})
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}
