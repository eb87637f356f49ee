package api

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// coding is a content coding (RFC 9110, section 8.4.1) that bodies are served in.
type coding int

const (
	identity coding = iota
	gzipped
	zstandard
)

var codingNames = [...]string{identity: "identity", gzipped: "gzip", zstandard: "zstd"}

// codingHeaders are shared by all answers.
var codingHeaders = [...][]string{gzipped: {"gzip"}, zstandard: {"zstd"}}

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder { return newZstd(zstd.WithEncoderConcurrency(1)) })

// fastZstd is for bodies that are sent once. The longest has some 300 KB.
var fastZstd = sync.OnceValue(func() *zstd.Encoder {
	return newZstd(zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
})

func newZstd(options ...zstd.EOption) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, options...)
	if err != nil {
		panic("api: zstd: " + err.Error()) // only for options that contradict each other
	}
	return e
}

// compress is for bodies that are kept.
func compress(c coding, b []byte) []byte {
	if c == zstandard {
		return zstdEncoder().EncodeAll(b, nil)
	}
	return gzipTo(gzip.NewWriter(nil), b)
}

var fastGzips = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("api: gzip: " + err.Error()) // only for a level that does not exist
	}
	return w
}}

// compressFast is for bodies that are sent once.
func compressFast(c coding, b []byte) []byte {
	if c == zstandard {
		return fastZstd().EncodeAll(b, make([]byte, 0, len(b)/3))
	}
	w := fastGzips.Get().(*gzip.Writer)
	defer fastGzips.Put(w)
	return gzipTo(w, b)
}

func gzipTo(w *gzip.Writer, b []byte) []byte {
	out := bytes.NewBuffer(make([]byte, 0, len(b)/3))
	w.Reset(out)
	_, err := w.Write(b)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("api: gzip: " + err.Error()) // a buffer takes everything
	}
	return out.Bytes()
}
