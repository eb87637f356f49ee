package dataset

import (
	"crypto/sha256"
	"fmt"
	"math"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var small = Scale{Users: 300, Products: 40, Raffles: 100, Open: 10, Bids: 5_000}

func newSet(t testing.TB, scale Scale, seed uint64) *Set {
	t.Helper()
	s, err := New(scale, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// digest hashes every value of a set.
func digest(s *Set) string {
	h := sha256.New()
	write := func(v any) { h.Write(fmt.Appendf(nil, "%+v\n", v)) } // a hash takes every byte
	for u := range s.Users {
		write(u)
	}
	write(s.Products())
	write(s.Raffles())
	for b := range s.Bids() {
		write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameSeedSameData(t *testing.T) {
	one := digest(newSet(t, small, 7))
	if again := digest(newSet(t, small, 7)); again != one {
		t.Error("seed 7 gave other data the second time")
	}
	if other := digest(newSet(t, small, 8)); other == one {
		t.Error("seeds 7 and 8 gave the same data")
	}
}

func TestSlicesDoNotDependOnTheirOrder(t *testing.T) {
	s := newSet(t, small, 7)
	streamed := slices.Collect(s.Bids())
	backward := make([][]Bid, sliceCount)
	for k := sliceCount - 1; k >= 0; k-- {
		backward[k] = s.Slice(k, nil)
	}
	if !slices.Equal(streamed, slices.Concat(backward...)) {
		t.Error("slices made backwards differ from the stream")
	}
}

func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := Scale{
			Users:    rapid.IntRange(2, 200).Draw(t, "users"),
			Products: rapid.IntRange(1, 50).Draw(t, "products"),
			Raffles:  rapid.IntRange(1, 60).Draw(t, "raffles"),
			Bids:     rapid.Int64Range(0, 2_000).Draw(t, "bids"),
		}
		scale.Open = rapid.IntRange(0, scale.Raffles).Draw(t, "open")
		s, err := New(scale, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		checkRaffles(t, s)
		checkBids(t, s)
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

func checkRaffles(t failer, s *Set) {
	scale := s.Scale()
	ranks := make(map[int]bool)
	ends := make(map[int64]bool)
	for i, r := range s.Raffles() {
		open := i >= scale.Raffles-scale.Open
		switch {
		case r.ID != int64(i+1) || r.Closed == open:
			t.Fatalf("raffle at place %d of %d is %+v", i+1, scale.Raffles, r)
		case r.ProductID < 1 || r.ProductID > int64(scale.Products) || r.SellerID < 1 || r.SellerID > int64(scale.Users):
			t.Fatalf("product or seller out of range: %+v", r)
		case r.Starts >= 0 || r.Starts < -history || r.Ends <= r.Starts:
			t.Fatalf("times: %+v", r)
		case r.Closed && r.Ends >= 0, !r.Closed && (r.Ends < openEnds || ends[int64(r.Ends)]):
			t.Fatalf("end: %+v", r)
		case r.Rank < 1 || r.Rank > scale.Raffles || ranks[r.Rank]:
			t.Fatalf("rank: %+v", r)
		case r.Rank == 1 && scale.Open > 0 && r.Closed:
			t.Fatalf("the hottest raffle is closed: %+v", r)
		}
		ranks[r.Rank] = true
		if !r.Closed {
			ends[int64(r.Ends)] = true
		}
	}
}

func checkBids(t failer, s *Set) {
	raffles := s.Raffles()
	counts, highest := make([]int64, len(raffles)), make([]int32, len(raffles))
	var last Bid
	for b := range s.Bids() {
		if b.RaffleID < 1 || b.RaffleID > int64(len(raffles)) {
			t.Fatalf("raffle out of range: %+v", b)
		}
		r := raffles[b.RaffleID-1]
		switch {
		case b.ID != last.ID+1 || (last.ID > 0 && b.CreatedAt < last.CreatedAt):
			t.Fatalf("%+v after %+v", b, last)
		case b.CreatedAt < r.Starts || b.CreatedAt >= r.end() || b.CreatedAt%1_000 != 0:
			t.Fatalf("time of %+v in %+v", b, r)
		case b.UserID < 1 || b.UserID > int64(s.Scale().Users) || b.UserID == r.SellerID:
			t.Fatalf("user of %+v in %+v", b, r)
		case b.Size < 250 || b.Size > 300 || b.Size%5 != 0:
			t.Fatalf("size: %+v", b)
		case b.Price < won || b.Price%won != 0 || b.Quantity < 1 || b.Quantity > 3:
			t.Fatalf("price or quantity: %+v", b)
		}
		counts[r.ID-1]++
		highest[r.ID-1] = max(highest[r.ID-1], b.Price)
		last = b
	}
	if last.ID != s.Scale().Bids {
		t.Fatalf("%d bids, want %d", last.ID, s.Scale().Bids)
	}
	for i, r := range raffles {
		if r.BidCount != counts[i] || (r.Closed && r.ClosingPrice != highest[i]) || (!r.Closed && r.ClosingPrice != 0) {
			t.Fatalf("%d bids up to %d KRW, raffle says %+v", counts[i], highest[i], r)
		}
	}
}

func TestDemo(t *testing.T) {
	s := newSet(t, Demo, 1)
	checkRaffles(t, s)
	checkBids(t, s)
	bySize := make(map[int16]int)
	atRelease := 0
	byUser := make([]int, Demo.Users+1)
	for b := range s.Bids() {
		bySize[b.Size]++
		byUser[b.UserID]++
		release := s.Products()[s.Raffles()[b.RaffleID-1].ProductID-1].ReleasePrice
		if b.Price > release/2 && b.Price < 3*release {
			atRelease++
		}
	}
	if len(bySize) != 11 || bySize[270] < bySize[250] || bySize[270] > 6*bySize[250] {
		t.Errorf("bids by size: %v", bySize)
	}
	if int64(atRelease) != Demo.Bids {
		t.Errorf("%d of %d prices are near the release price", atRelease, Demo.Bids)
	}
	want := float64(Demo.Bids) * NewZipf(Demo.Users, Skew).P(1)
	if got := float64(slices.Max(byUser)); math.Abs(got-want) > 6*math.Sqrt(want) {
		t.Errorf("the busiest user has %.0f bids, want about %.0f", got, want)
	}
}

// TestBidsOverRafflesAreZipf is the chi-square test of TestZipfMatchesTheory on the bids themselves.
func TestBidsOverRafflesAreZipf(t *testing.T) {
	s := newSet(t, Demo, 3)
	z := NewZipf(Demo.Raffles, Skew)
	var statistic float64
	for _, r := range s.Raffles() {
		expected := float64(Demo.Bids) * z.P(r.Rank)
		difference := float64(r.BidCount) - expected
		statistic += difference * difference / expected
	}
	freedom := float64(Demo.Raffles - 1)
	if bound := 5 * math.Sqrt(2*freedom); math.Abs(statistic-freedom) > bound {
		t.Errorf("chi-square %.1f, want %.0f give or take %.1f", statistic, freedom, bound)
	}
}

func TestUsers(t *testing.T) {
	users := slices.Collect(newSet(t, small, 1).Users)
	if n := len(users); n != small.Users+1 {
		t.Fatalf("%d users", n)
	}
	phc := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	for i, u := range users {
		want := User{ID: int64(i + 1), Login: fmt.Sprintf("user%d", i+1), PasswordHash: users[0].PasswordHash, Role: RoleBidder}
		if i == small.Users {
			want.Login, want.Role = "admin", RoleAdmin
		}
		if u != want || !phc.MatchString(u.PasswordHash) {
			t.Fatalf("user %+v, want %+v", u, want)
		}
	}
}

func TestScaleIsChecked(t *testing.T) {
	for _, bad := range []Scale{
		{},
		{Users: 1, Products: 1, Raffles: 1, Open: 2},
		{Users: 1, Products: 1, Raffles: 1, Bids: -1},
		{Users: -1, Products: 1, Raffles: 1},
	} {
		if _, err := New(bad, 1); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func BenchmarkPlanFull(b *testing.B) {
	for b.Loop() {
		newSet(b, Full, 1)
	}
}

// BenchmarkBids makes the bids of the full set: ns/op is per bid.
func BenchmarkBids(b *testing.B) {
	scale := Full
	scale.Bids = int64(b.N)
	s := newSet(b, scale, 1)
	b.ResetTimer()
	for range s.Bids() {
	}
}
