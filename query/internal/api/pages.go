package api

import (
	"sync"
	"sync/atomic"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// pages keeps the first pages of raffles encoded, each until the read model says that it has changed.
type pages struct {
	mu      sync.Mutex
	shelves map[pageKey]*shelf
	bytes   int
}

type pageKey struct {
	status bidbook.Status
	limit  int
}

// shelf holds one page.
type shelf struct {
	encoding sync.Mutex // held while the page is read and encoded
	page     atomic.Pointer[keptPage]
}

type keptPage struct {
	document *document
	validity bidbook.Validity
	at       bidbook.Position // when it was read
}

// maxKept bounds the pages in bytes, without their compressed forms, which are a quarter of that.
const maxKept = 64 << 20

// serves says whether the page is one that l may have.
func (k *keptPage) serves(book *bidbook.Chain, l list) bool {
	return book.Reached(k.at, l.want) && (l.want.Force == "" || l.want.Force == k.at.Path)
}

func (p *pages) shelf(key pageKey) *shelf {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[key]
	if s == nil {
		s = &shelf{}
		if p.shelves == nil {
			p.shelves = map[pageKey]*shelf{}
		}
		p.shelves[key] = s
	}
	return s
}

// keep puts a page on its shelf. When all have become too much they are forgotten: the ones in demand come
// back at once.
func (p *pages) keep(s *shelf, page *keptPage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += len(page.document.plain)
	if old := s.page.Swap(page); old != nil {
		p.bytes -= len(old.document.plain)
	}
	if p.bytes > maxKept {
		p.shelves, p.bytes = nil, 0
	}
}
