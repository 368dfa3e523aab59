// Command package writes a zip file of a program and of folders, for AWS Lambda: go run ./tools/package OUT.zip BOOTSTRAP FOLDER... The same files make
// the same bytes, whenever and wherever: so a package changes only when what is in it does, and Terraform plans nothing in between.
package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// limit is what Lambda takes: 250 MB unzipped. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const limit = 250 << 20

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: package OUT.zip BOOTSTRAP FOLDER...")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func write(out, bootstrap string, folders []string) (err error) {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(out))
		}
	}()
	p := &pack{zip: zip.NewWriter(f)}
	p.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	if err := p.add("bootstrap", bootstrap, 0o755); err != nil {
		return err
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error { // in the order of names
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return p.add(filepath.ToSlash(path), path, 0o644)
		})
		if err != nil {
			return err
		}
	}
	if err := p.zip.Close(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MB, unzipped %.1f MB of the 250 MB that Lambda takes, %d files\n", out, float64(info.Size())/1e6, float64(p.bytes)/1e6, p.files)
	if p.bytes > limit {
		return fmt.Errorf("%s is too large for Lambda", out)
	}
	return nil
}

type pack struct {
	zip   *zip.Writer
	files int
	bytes int64
}

func (p *pack) add(name, path string, mode fs.FileMode) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(mode)
	w, err := p.zip.CreateHeader(h)
	if err != nil {
		return err
	}
	n, err := io.Copy(w, in)
	p.files++
	p.bytes += n
	return err
}
