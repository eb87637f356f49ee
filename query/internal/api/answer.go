package api

import (
	"crypto/sha256"
	"net/http"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// content is what a body is made of.
type content interface {
	appendBody(dst []byte) []byte
	// appendVersion appends bytes that differ whenever the body does, next_cursor apart.
	appendVersion(dst []byte) []byte
}

// answer is a body and what a client may do with it.
type answer struct {
	content content
	keep    keeping
	rows    int // of a list, whose body is compressed if it is long
	list    *list
	next    *cursor // of the next page; nil: there is none
}

// keeping is how long a client may keep a body, and what makes it another one.
type keeping struct {
	cache, vary []string
	tagged      bool // it has an entity tag
}

var (
	revalidate  = []string{"no-cache"} // a client may keep the body, but must ask whether it is fresh
	varyCoding  = []string{"Accept-Encoding"}
	checkedList = keeping{cache: revalidate, tagged: true}
	checkedOne  = keeping{cache: revalidate, tagged: true}
	untagged    = keeping{cache: revalidate}
	private     = keeping{cache: []string{"no-store"}}
	// final is for what never changes.
	final = keeping{cache: []string{"public, max-age=31536000, immutable"}}
	// closedDetail is for a closed raffle, whose product may still be corrected. Who names a position gets no body
	// that was kept before it.
	closedDetail = keeping{cache: []string{"public, max-age=3600"}, vary: []string{"Min-LSN"}, tagged: true}
)

// longPage is how many rows a page has at most that is sent as it is, some 13 KB of bids. Compressing a shorter one
// costs more than the bytes.
const longPage = 100

// respond makes the body and sends it, or answers 304 if the client has it.
func respond(w http.ResponseWriter, r *http.Request, at bidbook.Position, a answer) error {
	c := identity
	if a.rows > longPage {
		a.keep.vary = varyCoding
		c = accepted(r.Header["Accept-Encoding"])
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	b := (*buffer)[:0]
	head := headText{at: at, list: a.list, next: a.next}
	if a.keep.tagged {
		b = a.content.appendVersion(b)
		head.tag(sha256.Sum256(b), c)
	}
	if values := r.Header["If-None-Match"]; len(values) > 0 && a.keep.tagged && matches(values, string(head.room[:head.n])) {
		head.write(w.Header(), a.keep, -1)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	b = append(a.content.appendBody(b[:0]), '\n')
	if cap(b) <= largestKept {
		*buffer = b
	}
	h := w.Header()
	if c != identity {
		b = compressFast(c, b)
		h["Content-Encoding"] = codingHeaders[c]
	}
	head.write(h, a.keep, len(b))
	h["Content-Type"] = jsonType
	web.SendWhole(r, len(b))
	_, err := w.Write(b)
	return err
}

// headText makes the header values of an answer, which share one string and one slice.
type headText struct {
	at   bidbook.Position
	room [len(`W/"0123456789abcdef-zstd"`)]byte
	n    int // bytes of the entity tag in room
	list *list
	next *cursor
}

// tagBytes is how much of a hash an entity tag has.
const tagBytes = 12

// tag makes a weak entity tag. It is weak because the cursors of equal pages may differ.
func (t *headText) tag(sum [sha256.Size]byte, c coding) {
	b := cursorText.AppendEncode(append(t.room[:0], `W/"`...), sum[:tagBytes])
	if c != identity {
		b = append(append(b, '-'), codingNames[c]...)
	}
	t.n = len(append(b, '"'))
}

// write writes header names in canonical form, which saves converting them. Without a body the length is -1.
func (t *headText) write(h http.Header, k keeping, length int) {
	var room [512]byte
	var ends [5]int
	b := t.at.At.Append(room[:0])
	ends[0] = len(b)
	b = strconv.AppendInt(b, t.at.LagMillis, 10)
	ends[1] = len(b)
	b = strconv.AppendInt(b, int64(length), 10)
	ends[2] = len(b)
	b = append(b, t.room[:t.n]...)
	ends[3] = len(b)
	if t.next != nil {
		b = t.list.appendLink(b, t.next)
	}
	ends[4] = len(b)
	text, values, begin := string(b), make([]string, len(ends)), 0
	for i, name := range [...]string{"Read-Lsn", "Read-Lag-Ms", "Content-Length", "Etag", "Link"} {
		values[i] = text[begin:ends[i]]
		if begin < ends[i] && (name != "Content-Length" || length >= 0) {
			h[name] = values[i : i+1 : i+1]
		}
		begin = ends[i]
	}
	h["Read-Path"] = pathHeaders[t.at.Path]
	h["Cache-Control"] = k.cache
	if k.vary != nil {
		h["Vary"] = k.vary
	}
}
