//go:build unix

package file_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
)

// writerRoot names the environment variable that turns the test program into the writer of TestKilledWriter.
const writerRoot = "LAKESTEP_TEST_WRITER_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(writerRoot); root != "" {
		fmt.Fprintln(os.Stderr, writeForever(root))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestKilledWriter kills a writer process (SIGKILL) at random moments, again and again on the same root. After
// each kill every key holds a whole body, and the log that the writer extends has no gap.
func TestKilledWriter(t *testing.T) {
	root := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	objects := 0
	for round := range 40 {
		runAndKill(t, root, 15*time.Millisecond+time.Duration(random.Int64N(int64(50*time.Millisecond))))
		var err error
		if objects, err = checkWhole(t.Context(), open(t, root)); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
	}
	if objects < 40 {
		t.Errorf("the writer wrote only %d objects: the test has seen too little", objects)
	}
	t.Logf("40 kills, %d objects", objects)
}

func runAndKill(t *testing.T, root string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerRoot+"="+root)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("the writer stopped by itself: %s", stderr.String())
	}
}

// writeForever extends a log by put-if-absent from where it ends, and overwrites one key in between.
func writeForever(root string) error {
	ctx := context.Background()
	s, err := file.New(root)
	if err != nil {
		return err
	}
	next := 0
	for _, err := range s.List(ctx, "log/", "") {
		if err != nil {
			return err
		}
		next++
	}
	for ; ; next++ {
		size := 1 + (next*7919)%300_000
		if err := s.Put(ctx, logKey(next), body(next, size), store.PutOptions{IfAbsent: true}); err != nil {
			return err
		}
		if err := s.Put(ctx, "state", body(next, size), store.PutOptions{}); err != nil {
			return err
		}
	}
}

func logKey(n int) string { return fmt.Sprintf("log/%03d/%06d.json", n/100, n) }

// body says in its first bytes how it goes on.
func body(n, size int) io.Reader {
	head := binary.BigEndian.AppendUint64(nil, uint64(size))
	return io.MultiReader(bytes.NewReader(head), strings.NewReader(strings.Repeat(string(rune('a'+n%26)), size)))
}

func checkWhole(ctx context.Context, s *file.Store) (objects int, err error) {
	logs := 0
	for o, err := range s.List(ctx, "", "") {
		if err != nil {
			return 0, err
		}
		b, err := store.ReadAll(ctx, s, o.Key, 1<<20)
		if err != nil {
			return 0, err
		}
		if len(b) < 9 || binary.BigEndian.Uint64(b) != uint64(len(b)-8) || strings.Trim(string(b[8:]), string(b[8:9])) != "" {
			return 0, fmt.Errorf("%s is partial: %d bytes", o.Key, len(b))
		}
		if strings.HasPrefix(o.Key, "log/") {
			if o.Key != logKey(logs) {
				return 0, fmt.Errorf("the log has a gap: %s in the place of %s", o.Key, logKey(logs))
			}
			logs++
		}
		objects++
	}
	return objects, nil
}
