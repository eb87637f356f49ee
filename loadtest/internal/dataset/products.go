package dataset

import (
	"fmt"
	"time"
)

// Product is one model of shoe.
type Product struct {
	ID           int64
	Name         string
	Model        string // the maker's number, unique
	Color        string
	Category     string
	ImageURL     string
	ReleasePrice int32         // KRW
	Released     time.Duration // offset; only its day counts
}

var (
	makers     = []string{"Obelisk", "Sphinx", "Nile", "Giza", "Delta", "Oasis", "Mirage", "Khufu"}
	lines      = []string{"Runner", "Court", "Trail", "Retro", "Dunk Line", "Air Step", "Glide", "High", "Low", "Mid"}
	colors     = []string{"Black/White", "Triple White", "Sand", "University Blue", "Bred", "Olive", "Panda", "Sail", "Volt", "Grey Fog"}
	categories = []string{"basketball", "lifestyle", "running", "skateboarding", "trail"}
)

// planProducts releases every product before the first raffle starts.
func (s *Set) planProducts() {
	s.products = make([]Product, s.scale.Products)
	random := s.random(forProducts, 0)
	for i := range s.products {
		id := int64(i + 1)
		s.products[i] = Product{
			ID: id,
			Name: fmt.Sprintf("%s %s %d",
				makers[random.IntN(len(makers))], lines[random.IntN(len(lines))], 1+random.IntN(99)),
			Model:        fmt.Sprintf("SP%06d-%03d", id, random.IntN(1_000)),
			Color:        colors[random.IntN(len(colors))],
			Category:     categories[random.IntN(len(categories))],
			ImageURL:     fmt.Sprintf("https://images.example.com/products/%d.webp", id),
			ReleasePrice: int32(79+10*random.IntN(22)) * won,
			Released:     -history - days(1+random.IntN(1_000)),
		}
	}
}
