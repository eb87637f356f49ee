package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// verify compares in this process.
func (s *system) verify(o verify.Options) verify.Report {
	s.t.Helper()
	r, err := s.tryVerify(o)
	s.must(err)
	return r
}

func (s *system) tryVerify(o verify.Options) (verify.Report, error) {
	options, err := redis.ParseURL(s.server.URL())
	s.must(err)
	v := verify.New(s.dbs.URL("replicator"), options)
	defer v.Close()
	if o.Scope == (verify.Scope{}) {
		o.Scope = verify.Everything
	}
	o.Details = 100
	ctx, cancel := context.WithTimeout(s.ctx, 2*patience)
	defer cancel()
	return v.Run(ctx, o)
}

// clean fails unless everything is equal.
func (s *system) clean() verify.Report {
	s.t.Helper()
	r := s.verify(verify.Options{})
	if r.Divergent != 0 || r.Keys == 0 {
		s.t.Fatalf("%d of %d keys differ: %v", r.Divergent, r.Keys, r.Findings)
	}
	return r
}

func TestVerifyIsExactUnderLoad(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate("VERIFY_INTERVAL=0")
	s.bids(20_000)
	s.reached()
	r := s.clean()
	if want := int64(2*110 + 2*10 + 2); r.Keys < want || r.Rows < 20_000 || r.Members != 40_000 {
		t.Errorf("%+v, want at least %d keys", r, want)
	}
	stop := s.load()
	until := time.Now().Add(5 * time.Second)
	rounds := 0
	for ; time.Now().Before(until); rounds++ {
		s.exec("UPDATE bids SET price = price + 1000 WHERE id % 100 = $1", rounds)
		s.exec("UPDATE raffles SET closed_at = now(), closing_price = $1 WHERE id = 1 + $1 % 10", rounds+1)
		s.exec("UPDATE products SET name = name || '.' WHERE id = 1")
		s.clean()
	}
	t.Logf("%d comparisons", rounds)
	s.bids(30_000) // a transaction in several parts
	s.clean()
	s.exec("TRUNCATE bids")
	s.clean()
	stop()
	s.equal()
}

var _ = fmt.Sprint
var _ = readmodel.Epoch(0)
