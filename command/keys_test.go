package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// Two instances that are started together in an empty folder of keys accept each other's tokens.
func TestTwoInstancesMakeOneKey(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	for range 3 {
		keys := "JWT_KEYS_DIR=" + t.TempDir()
		both := []*running{launch(t, db, "", keys), launch(t, db, "", keys)}
		for _, p := range both {
			testenv.Eventually(t, 20*time.Second, "the service is ready", func() bool {
				answer, err := http.Get(p.admin + "/readyz")
				if err != nil {
					return false
				}
				status, _ := read(t, answer)
				return status == http.StatusOK
			})
		}
		for i, p := range both {
			token := p.login()
			for _, other := range []*running{p, both[1-i]} {
				answer, err := other.post("/v1/raffles/1/bids", token, `{"size":270,"price":1000}`)
				if err != nil {
					t.Fatal(err)
				}
				if status, body := read(t, answer); status != http.StatusCreated {
					t.Errorf("instance %d: %d %s", i, status, body)
				}
			}
		}
		for _, p := range both {
			if p.Stop(t) != 0 {
				t.Error("exit status is not 0")
			}
		}
	}
}
