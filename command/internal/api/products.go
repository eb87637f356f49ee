package api

import (
	"fmt"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/command/internal/product"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

type productDocument struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	Model        string `json:"model"`
	Color        string `json:"color"`
	Category     string `json:"category"`
	ImageURL     string `json:"image_url"`
	ReleasePrice int32  `json:"release_price"`
	ReleaseDate  string `json:"release_date"`
}

func (a *API) addProduct(w http.ResponseWriter, r *http.Request, who auth.Identity) error {
	key, err := readKey(r)
	if err != nil {
		return err
	}
	fields, err := readProduct(w, r, true)
	if err != nil {
		return err
	}
	added, err := a.Products.Add(r.Context(), who.UserID, key, fields)
	if err != nil {
		return keyed(err, key)
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/products/%d", added.Product.ID))
	w.Header().Set(commitLSN, added.LSN)
	markReplayed(w, added.Replayed)
	web.WriteJSON(w, r, http.StatusCreated, productDocument(added.Product))
	return nil
}

func (a *API) changeProduct(w http.ResponseWriter, r *http.Request, _ auth.Identity) error {
	id, err := pathID(r, "product_id")
	if err != nil {
		return err
	}
	fields, err := readProduct(w, r, false)
	if err != nil {
		return err
	}
	changed, lsn, err := a.Products.Change(r.Context(), id, fields)
	if err != nil {
		return repeatable(err, "it is not known whether the product was changed; ask again")
	}
	w.Header().Set(commitLSN, lsn)
	web.WriteJSON(w, r, http.StatusOK, productDocument(changed))
	return nil
}

// readProduct reads the fields of a product, of a new one if all must be there.
func readProduct(w http.ResponseWriter, r *http.Request, all bool) (product.Fields, error) {
	var body struct {
		Name         *string `json:"name"`
		Model        *string `json:"model"`
		Color        *string `json:"color"`
		Category     *string `json:"category"`
		ImageURL     *string `json:"image_url"`
		ReleasePrice *int32  `json:"release_price"`
		ReleaseDate  *string `json:"release_date"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return product.Fields{}, err
	}
	fields := product.Fields(body)
	if fields == (product.Fields{}) && !all {
		return fields, web.BadValue.Problem("there is no field to change")
	}
	var flaws []web.FieldError
	for _, f := range fields.Check(all) {
		flaws = append(flaws, web.FieldError{Field: f.Field, Detail: f.Rule})
	}
	if flaws != nil {
		return fields, invalid(flaws...)
	}
	return fields, nil
}
