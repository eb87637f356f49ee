package api

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// document is a page of raffles (head, rows and tail) with its entity tag. A kept document is compressed once for
// each coding, any other is sent as it is.
type document struct {
	rows, tail []byte
	tag        string
	kept       bool
	forms      [3]func() form
}

// form is a body in one coding and the headers that go with it.
type form struct {
	body           [][]byte
	size           int
	tag, length    []string
	contentCodings []string
}

// coding is a content coding (RFC 9110, section 8.4.1) that bodies are served in.
type coding int

const (
	identity coding = iota
	gzipped
	zstandard
)

var codingNames = [...]string{identity: "identity", gzipped: "gzip", zstandard: "zstd"}

var rafflesHead = []byte(`{"raffles":[`)

func newDocument(rows, tail []byte, tag string) *document {
	d := &document{rows: rows, tail: tail, tag: tag}
	for c := range d.forms {
		d.forms[c] = sync.OnceValue(func() form { return d.form(coding(c)) })
	}
	return d
}

func (d *document) form(c coding) form {
	f := form{body: [][]byte{rafflesHead, d.rows, d.tail}, tag: []string{`W/"` + d.tag + `"`}}
	if c != identity {
		f.body = [][]byte{compress(c, bytes.Join(f.body, nil))}
		f.tag = []string{`W/"` + d.tag + "-" + codingNames[c] + `"`} // other bytes, so another tag
		f.contentCodings = []string{codingNames[c]}
	}
	for _, part := range f.body {
		f.size += len(part)
	}
	f.length = []string{strconv.Itoa(f.size)}
	return f
}

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic("api: zstd: " + err.Error()) // only for options that contradict each other
	}
	return e
})

func compress(c coding, b []byte) []byte {
	if c == zstandard {
		return zstdEncoder().EncodeAll(b, nil)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("api: gzip: " + err.Error()) // a buffer takes everything
	}
	return out.Bytes()
}

var (
	varyHeader = []string{"Accept-Encoding"}
	revalidate = []string{"no-cache"} // a client may keep the page, but must ask whether it is fresh
)

// send answers with the document in the coding that the client likes best, or with 304 if the client has it.
func (d *document) send(w http.ResponseWriter, r *http.Request, at bidbook.Position) error {
	c := identity
	if d.kept {
		c = accepted(r.Header["Accept-Encoding"])
	}
	f := d.forms[c]()
	h := w.Header()
	setPosition(h, at)
	h["Etag"], h["Vary"], h["Cache-Control"] = f.tag, varyHeader, revalidate
	if matches(r.Header["If-None-Match"], f.tag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"], h["Content-Length"] = jsonType, f.length
	if f.contentCodings != nil {
		h["Content-Encoding"] = f.contentCodings
	}
	web.SendWhole(r, f.size)
	for _, part := range f.body {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
