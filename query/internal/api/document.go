package api

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// document is a page of raffles (head, rows and tail) with its entity tag. A kept document is compressed once for
// each coding. Of the others, only long ones are compressed whose rows cost no more than a list of bids.
type document struct {
	rows, tail []byte
	tag        string
	kept, long bool
	forms      [3]func() form
}

// form is a body in one coding and the headers that go with it.
type form struct {
	body           [][]byte
	size           int
	tag, length    []string
	contentCodings []string
}

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
		whole := bytes.Join(f.body, nil)
		if d.kept {
			whole = compress(c, whole)
		} else {
			whole = compressFast(c, whole)
		}
		f.body = [][]byte{whole}
		f.tag = []string{`W/"` + d.tag + "-" + codingNames[c] + `"`} // other bytes, so another tag
		f.contentCodings = codingHeaders[c]
	}
	for _, part := range f.body {
		f.size += len(part)
	}
	f.length = []string{strconv.Itoa(f.size)}
	return f
}

// send answers with the document in the coding that the client likes best, or with 304 if the client has it.
func (d *document) send(w http.ResponseWriter, r *http.Request, at bidbook.Position) error {
	h, c := w.Header(), identity
	if d.kept || d.long {
		h["Vary"] = varyCoding
		c = accepted(r.Header["Accept-Encoding"])
	}
	f := d.forms[c]()
	setPosition(h, at)
	h["Etag"], h["Cache-Control"] = f.tag, revalidate
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
