package postgres

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// inProgress keeps the changes of large transactions, which the server sends before it knows whether they commit: on disk, in a file for each.
type inProgress struct {
	dir  string // "": only whether there are any is kept
	open map[uint32]*unfinished
	now  *unfinished // whose block is being sent
}

// unfinished is a transaction that has not ended yet.
type unfinished struct {
	path    string
	file    *os.File
	out     *bufio.Writer
	counts  map[uint32]int64 // of changes, by subtransaction, where nothing else is kept
	aborted map[uint32]bool  // subtransactions that were rolled back
}

// begin opens a transaction's block.
func (p *inProgress) begin(xid uint32) (err error) {
	u, ok := p.open[xid]
	if !ok {
		u = &unfinished{aborted: map[uint32]bool{}, counts: map[uint32]int64{}}
		if p.dir != "" {
			u.path = filepath.Join(p.dir, "transaction-"+strconv.FormatUint(uint64(xid), 10))
		}
		p.open[xid] = u
	}
	p.now = u
	if u.path == "" {
		return nil
	}
	if u.file, err = os.OpenFile(u.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		u.out = bufio.NewWriterSize(u.file, 256<<10)
	}
	return err
}

// add keeps a message of the open block; sub is the transaction or one within it.
func (p *inProgress) add(sub uint32, kind byte, body []byte) error {
	u := p.now
	if u.out == nil {
		if kind != msgRelation {
			u.counts[sub]++
		}
		return nil
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.BigEndian.AppendUint32(head, sub)
	head = append(head, kind)
	if _, err := u.out.Write(head); err != nil {
		return err
	}
	_, err := u.out.Write(body)
	return err
}

// end closes the block.
func (p *inProgress) end() error {
	u := p.now
	p.now = nil
	if u == nil || u.out == nil {
		return nil
	}
	err := errors.Join(u.out.Flush(), u.file.Close())
	u.out, u.file = nil, nil
	return err
}

// abort forgets what a transaction did, or what one within it did.
func (p *inProgress) abort(xid, sub uint32) {
	u := p.open[xid]
	if u == nil {
		return
	}
	if xid != sub {
		u.aborted[sub] = true
		return
	}
	p.forget(xid)
}

func (p *inProgress) forget(xid uint32) {
	if u := p.open[xid]; u != nil && u.path != "" {
		os.Remove(u.path)
	}
	delete(p.open, xid)
}

// commit gives the changes of a transaction that were not rolled back, in their order, and forgets it.
func (p *inProgress) commit(xid uint32, each func(kind byte, body []byte) error) error {
	u := p.open[xid]
	if u == nil {
		return errors.New("the end of a transaction that did not begin")
	}
	defer p.forget(xid)
	if u.path == "" {
		return u.counted(each)
	}
	f, err := os.Open(u.path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 256<<10)
	var head [9]byte
	var body []byte
	for {
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if u.aborted[binary.BigEndian.Uint32(head[4:])] {
			if _, err := in.Discard(n); err != nil {
				return err
			}
			continue
		}
		if cap(body) < n {
			body = make([]byte, n)
		}
		body = body[:n]
		if _, err := io.ReadFull(in, body); err != nil {
			return err
		}
		if err := each(head[8], body); err != nil {
			return err
		}
	}
}

// counted tells of a change if there is one.
func (u *unfinished) counted(each func(kind byte, body []byte) error) error {
	for sub, n := range u.counts {
		if n > 0 && !u.aborted[sub] {
			return each(0, nil)
		}
	}
	return nil
}

// close gives up what did not end: the server sends it again, from its beginning.
func (p *inProgress) close() {
	_ = p.end()
	for xid := range p.open {
		p.forget(xid)
	}
}
