// Package dataset makes the data with which the system is tried: users, products, raffles and bids of a sneaker
// auction, as a pure function of a scale and a seed. Nothing here does I/O or reads a clock.
//
// All times are offsets from the moment of loading, in whole microseconds: negative is the past.
// Bids come in slices of time, each from a random generator of its own, so the data does not depend
// on how many slices are made at once, and memory does not grow with the number of bids.
package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Scale is how much of everything there is. Raffles above Raffles-Open are open, the others closed.
type Scale struct {
	Users    int
	Products int
	Raffles  int
	Open     int
	Bids     int64
}

// The two data sets of `make up`: with SEED=full and without.
var (
	Full = Scale{Users: 200_000, Products: 10_000, Raffles: 10_000, Open: 1_000, Bids: 12_000_000}
	Demo = Scale{Users: 2_000, Products: 1_000, Raffles: 1_000, Open: 100, Bids: 200_000}
)

// Skew is the exponent s of the Zipf distributions of bids over raffles and over users.
const Skew = 0.8

// Password is the password of every user.
const Password = "pyramid"

// Roles of users.
const (
	RoleBidder = "bidder"
	RoleAdmin  = "admin"
)

// User is one account. The users are user1 to userN with ids 1 to N, then admin with id N+1.
type User struct {
	ID           int64
	Login        string
	PasswordHash string
	Role         string
}

// Set is a data set. It is safe for concurrent use.
type Set struct {
	scale    Scale
	seed     uint64
	hash     string
	products []Product
	raffles  []Raffle
	ceilings []int32 // by raffle index: the highest price bid, in KRW
	users    *Zipf   // by rank
	userIDs  []int32 // rank-1 -> id
	slices   [][]cell
	firstID  []int64 // by slice: the id of its first bid; then the id after the last bid
}

// New plans the data set of a scale and a seed. It takes about a second for Full.
func New(scale Scale, seed uint64) (*Set, error) {
	if err := scale.validate(); err != nil {
		return nil, err
	}
	s := &Set{scale: scale, seed: seed}
	salt := make([]byte, 16)
	random := s.random(forSalt, 0)
	for i := range salt {
		salt[i] = byte(random.Uint64())
	}
	s.hash = HashPassword(Password, salt)
	s.planProducts()
	s.planRaffles()
	s.planUsers()
	s.planBids()
	return s, nil
}

func (s Scale) validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{{"users", s.Users}, {"products", s.Products}, {"raffles", s.Raffles}} {
		if n.value < 1 || n.value > 1<<30 {
			errs = append(errs, fmt.Errorf("dataset: %d %s: want 1 to %d", n.value, n.name, 1<<30))
		}
	}
	if s.Open < 0 || s.Open > s.Raffles {
		errs = append(errs, fmt.Errorf("dataset: %d open raffles of %d", s.Open, s.Raffles))
	}
	if s.Bids < 0 {
		errs = append(errs, fmt.Errorf("dataset: %d bids", s.Bids))
	}
	return errors.Join(errs...)
}

// Scale returns the scale that the set was made with.
func (s *Set) Scale() Scale { return s.scale }

// Products returns all products in the order of their ids, which start at 1.
func (s *Set) Products() []Product { return s.products }

// Raffles returns all raffles in the order of their ids, which start at 1.
func (s *Set) Raffles() []Raffle { return s.raffles }

// Users yields all users in the order of their ids.
func (s *Set) Users(yield func(User) bool) {
	for id := int64(1); id <= int64(s.scale.Users); id++ {
		if !yield(User{ID: id, Login: fmt.Sprintf("user%d", id), PasswordHash: s.hash, Role: RoleBidder}) {
			return
		}
	}
	yield(User{ID: int64(s.scale.Users) + 1, Login: "admin", PasswordHash: s.hash, Role: RoleAdmin})
}

func (s *Set) planUsers() {
	s.users = NewZipf(s.scale.Users, Skew)
	s.userIDs = make([]int32, s.scale.Users)
	for rank, index := range s.random(forUsers, 0).Perm(s.scale.Users) {
		s.userIDs[rank] = int32(index + 1)
	}
}

// purpose keeps the random generators of different uses apart.
type purpose uint64

const (
	forSalt purpose = iota
	forProducts
	forRaffles
	forUsers
	forBidCounts
	forBidTimes
	forBids
)

// random returns the generator of one use and index. PCG takes its two arguments as the state, and neighbouring
// states are related, so the arguments are mixed first.
func (s *Set) random(use purpose, index int) *rand.Rand {
	return rand.New(rand.NewPCG(mix(s.seed), mix(s.seed^mix(uint64(use)<<48|uint64(index)))))
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014): a bijection on 64 bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// days is n days of 24 hours.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
