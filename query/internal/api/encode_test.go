package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func FuzzAppendText(f *testing.F) {
	for _, s := range []string{"", `a"b\c/d`, "\x00\x1f\x7f\t\n", "é👟\u2028", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, "", s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q became %s: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestClock(t *testing.T) {
	var c clock
	for _, micros := range []int64{-1, 0, 1, 86_399_999_999, 86_400_000_000, 999_999, 1_000_000, 1_700_000_000_123_456, 253_402_300_799_999_999, 253_402_300_800_000_000, 0} {
		want := time.UnixMicro(micros).UTC().Format(`"2006-01-02T15:04:05.000000Z"`)
		if got := string(c.append(nil, "", micros)); got != want {
			t.Errorf("%d: %s, want %s", micros, got, want)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	for v := int64(1); v > 0; v = v*10 + 7 {
		for _, v := range []int64{v - 1, v, v + 1, math.MaxInt64} {
			if got := string(appendNumber(nil, v)); got != strconv.FormatInt(v, 10) {
				t.Errorf("%d: %s", v, got)
			}
		}
	}
}

// page is a page of raffles as it is sent.
func page(raffles ...readmodel.Raffle) string {
	rows, _, _ := encodeRows(raffles)
	d := newDocument(rows, appendNext([]byte{']'}, nil), "")
	return string(bytes.Join(d.form(identity).body, nil))
}

func TestBodies(t *testing.T) {
	r := readmodel.Raffle{ID: 1, ProductID: 2, SellerID: 3, StartsAt: 4, EndsAt: 5}
	const open = `{"id":1,"product_id":2,"seller_id":3,"starts_at":"1970-01-01T00:00:00.000004Z","ends_at":"1970-01-01T00:00:00.000005Z",`
	for got, want := range map[string]string{
		string(appendBidPage(nil, nil, nil)): `{"bids":[],"next_cursor":null}`,
		string(appendBidPage(nil, []readmodel.Bid{{ID: 1, RaffleID: 2, UserID: 3, Size: 4, Price: 5, Quantity: 6, CreatedAt: 7}}, nil)): `{"bids":[{"id":1,"raffle_id":2,"user_id":3,"size":4,"price":5,"quantity":6,"created_at":"1970-01-01T00:00:00.000007Z"}],"next_cursor":null}`,
		page(r): `{"raffles":[` + open + `"closed_at":null,"closing_price":null}],"next_cursor":null}`,
		string(appendDetail(nil, bidbook.RaffleDetail{Raffle: r})): open + `"closed_at":null,"closing_price":null,"product":{"id":0,"name":"","model":"","color":"","category":"",` +
			`"image_url":"","release_price":0,"release_date":""},"bid_count":0,"sizes":[]}`,
	} {
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

func BenchmarkAppendBidPage(b *testing.B) {
	bids := make([]readmodel.Bid, 50)
	for i := range bids {
		bids[i] = readmodel.Bid{ID: 12_000_000, RaffleID: 9_001, UserID: 200_000, Size: 270, Price: 150_000, Quantity: 1, CreatedAt: 1_700_000_000_123_456}
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = appendBidPage(dst[:0], bids, nil)
	}
}
