package api

import (
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// badAdmins are the bad requests for changes of raffles, for products, and with keys other than those of bids.
func badAdmins(admin map[string]string) (list []badRequest) {
	add := func(name, method, path, body string, status int, fields string, header map[string]string) {
		list = append(list, badRequest{name: name, method: method, path: path, body: body, status: status, fields: fields, header: header})
	}
	text, none := map[string]string{"Content-Type": "text/plain", "Authorization": admin["Authorization"]}, map[string]string{"Authorization": ""}
	const raffle, products, one, ends = "/v1/raffles/1", "/v1/products", "/v1/products/1", `{"ends_at":"2126-01-01T00:00:00Z"}`
	add("change: bidder", "PATCH", raffle, ends, 403, "", nil)
	add("change: no token", "PATCH", raffle, ends, 401, "", none)
	add("change: nothing", "PATCH", raffle, `{}`, 422, "", admin)
	add("change: null", "PATCH", raffle, `{"ends_at":null,"starts_at":null}`, 422, "", admin)
	add("change: words", "PATCH", raffle, `{"ends_at":"later","starts_at":""}`, 422, "starts_at ends_at", admin)
	add("change: number", "PATCH", raffle, `{"ends_at":1}`, 400, "ends_at", admin)
	add("change: seller", "PATCH", raffle, `{"seller_id":2}`, 400, "seller_id", admin)
	add("change: past", "PATCH", raffle, `{"ends_at":"2020-01-01T00:00:00Z"}`, 422, "ends_at", admin)
	add("change: year 10000", "PATCH", raffle, `{"ends_at":"9999-12-31T23:59:59-01:00"}`, 422, "ends_at", admin)
	add("change: end before the start", "PATCH", "/v1/raffles/3", `{"starts_at":"2126-01-02T00:00:00Z","ends_at":"2126-01-01T00:00:00Z"}`, 422, "ends_at", admin)
	add("change: started", "PATCH", raffle, `{"starts_at":"2030-01-01T00:00:00Z"}`, 409, "", admin)
	add("change: closed", "PATCH", "/v1/raffles/2", ends, 409, "", admin)
	add("change: over", "PATCH", "/v1/raffles/4", ends, 409, "", admin)
	add("change: unknown", "PATCH", "/v1/raffles/99", ends, 404, "", admin)
	add("change: by name", "PATCH", "/v1/raffles/one", ends, 404, "", admin)
	add("change: form", "PATCH", raffle, "x", 415, "", text)
	add("change: large", "PATCH", raffle, `{"ends_at":"`+strings.Repeat("x", web.MaxBody)+`"}`, 413, "", admin)
	add("PUT of a raffle", "PUT", raffle, ends, 405, "", admin)

	const all = "name model color category image_url release_price release_date"
	add("product: bidder", "POST", products, `{}`, 403, "", nil)
	add("product: no token", "POST", products, `{}`, 401, "", none)
	add("product: form", "POST", products, "x", 415, "", text)
	add("product: large", "POST", products, `{"name":"`+strings.Repeat("x", web.MaxBody)+`"}`, 413, "", admin)
	add("product: nothing", "POST", products, `{}`, 422, all, admin)
	add("product: unknown field", "POST", products, `{"id":7}`, 400, "id", admin)
	add("product: list", "POST", products, `[]`, 400, "", admin)
	add("product: bad values", "POST", products, `{"name":"","model":" x","color":"a\u0000b","category":"`+strings.Repeat("x", 201)+
		`","image_url":"javascript:alert(1)","release_price":0,"release_date":"2026-02-30"}`, 422, all, admin)
	for name, body := range map[string]string{
		"name": `{"name":"a\nb"}`, "image_url": `{"image_url":"p.png"}`, "release_price": `{"release_price":2147483648}`, "release_date": `{"release_date":"1969-12-31"}`,
	} {
		add("change of a product: "+name, "PATCH", one, body, 422, name, admin)
	}
	add("change of a product: number", "PATCH", one, `{"name":1}`, 400, "name", admin)
	add("change of a product: nothing", "PATCH", one, `{}`, 422, "", admin)
	add("change of a product: bidder", "PATCH", one, `{"name":"x"}`, 403, "", nil)
	add("change of a product: no token", "PATCH", one, `{"name":"x"}`, 401, "", none)
	add("change of a product: unknown", "PATCH", "/v1/products/99", `{"name":"x"}`, 404, "", admin)
	add("change of a product: by name", "PATCH", "/v1/products/one", `{"name":"x"}`, 404, "", admin)
	add("change of a product: form", "PATCH", one, "x", 415, "", text)
	add("change of a product: large", "PATCH", one, `{"name":"`+strings.Repeat("x", web.MaxBody)+`"}`, 413, "", admin)
	for _, path := range []string{"/v1/raffles", products, "/v1/users"} {
		add(path+": empty key", "POST", path, `{}`, 400, "", map[string]string{"Authorization": admin["Authorization"], idempotencyKey: " "})
		add(path+": long key", "POST", path, `{}`, 400, "", map[string]string{"Authorization": admin["Authorization"], idempotencyKey: strings.Repeat("k", 256)})
	}
	add("DELETE of a product", "DELETE", one, "", 405, "", admin)
	return list
}
