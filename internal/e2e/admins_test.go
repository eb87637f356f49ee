package e2e

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// adminsChangesTravel adds a product and its raffle, changes both, and reads each state back on every path.
func (s *stack) adminsChangesTravel(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, admin := t.Context(), s.session(t, "admin", client.WithAttempts(1))
	day := func(year, day int) time.Time { return time.Date(year, 1, day, 0, 0, 0, 0, time.UTC) }
	product, _, err := admin.AddProduct(ctx, client.NewProduct{Name: "Two", Model: "P-2", Color: "sand", Category: "sneakers",
		ImageURL: "/p-2.png", ReleasePrice: 1000, ReleaseDate: "2026-11-24"})
	must(err)
	raffle, _, err := admin.OpenRaffle(ctx, client.NewRaffle{ProductID: product.ID, StartsAt: day(2126, 1), EndsAt: day(2126, 2)})
	must(err)
	showsEverywhere(t, admin, raffle.ID, "Two", day(2126, 2))
	_, _, err = admin.ChangeProduct(ctx, product.ID, client.ProductChange{Name: "Three"})
	must(err)
	showsEverywhere(t, admin, raffle.ID, "Three", day(2126, 2))
	_, _, err = admin.ChangeRaffle(ctx, raffle.ID, client.RaffleChange{StartsAt: day(2026, 1), EndsAt: day(2127, 2)})
	must(err)
	showsEverywhere(t, admin, raffle.ID, "Three", day(2127, 2))
	_, _, err = admin.PlaceBid(ctx, raffle.ID, client.NewBid{Size: 270, Price: 1000})
	must(err)
}

// showsEverywhere reads what the session has written.
func showsEverywhere(t *testing.T, admin *client.Session, raffle int64, name string, ends time.Time) {
	t.Helper()
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		var got client.RaffleDetail
		testenv.EventuallyNoError(t, 5*time.Second, "the change arrives on "+path, func() (err error) {
			got, _, err = admin.Raffle(t.Context(), raffle, client.Through(path))
			return err
		})
		if !got.EndsAt.Equal(ends) || got.Product.Name != name {
			t.Errorf("%s shows %+v, want %s until %s", path, got, name, ends)
		}
	}
}
