// Package idempotency remembers what requests with an Idempotency-Key have made, so that a repeated request makes nothing
// and gets the first answer. Bids have their keys in their own rows (see package bid).
package idempotency

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	// Retention is how long a key is remembered.
	Retention = 7 * 24 * time.Hour
	// oldAtOnce is how many older keys a request removes.
	oldAtOnce = 4
)

// retention is Retention in seconds, as the statements take it.
const retention = int64(Retention / time.Second)

// ErrReused means that the key was used for a request with other values.
var ErrReused = errors.New("idempotency key used for other values")

// Key is a request with a key. The zero Key is a request without one.
type Key struct {
	Scope, Key string
	hash       []byte
}

// Of returns the key of a user's request on a route. Requests are the same if they have the same JSON, which must not change
// with a release, because a retry may reach either of two.
func Of(route string, user int64, key string, request any) (Key, error) {
	if key == "" {
		return Key{}, nil
	}
	text, err := json.Marshal(request)
	if err != nil {
		return Key{}, fmt.Errorf("hash of a request: %w", err)
	}
	sum := sha256.Sum256(text)
	return Key{Scope: route + " " + strconv.FormatInt(user, 10), Key: key, hash: sum[:]}, nil
}

// OfRegistration returns the key of a registration. Not even a hash of the request is kept, because a fast one would give
// the password away. Instead the stored hash of the password tells whether a repeated request is the same.
func OfRegistration(login, key string) Key {
	if key == "" {
		return Key{}
	}
	return Key{Scope: "users " + login, Key: key}
}

// First is what an earlier request made under a key.
type First struct{ rows []writedb.FindKeyRow }

// Once returns the steps of a transaction that makes something, at most once if there is a key. The statement of make must
// make nothing if the key is not claimed. Afterwards first has what an earlier request has made.
func (k Key) Once(make primary.Step, first *First) []primary.Step {
	if k.Key == "" {
		return []primary.Step{make}
	}
	return []primary.Step{
		{SQL: writedb.ClaimKey, Args: []any{k.Scope, k.Key, k.hash, retention}},
		make,
		{SQL: writedb.DropClaim, Args: []any{k.Scope, k.Key}},
		k.find(first),
		{SQL: writedb.DropOldKeys, Args: []any{retention, int64(oldAtOnce)}},
		// What was found may have been committed by a request whose wait for the standby was cut off.
		{SQL: writedb.ConfirmSeen},
	}
}

// Find returns the steps that look a key up.
func (k Key) Find(first *First) []primary.Step {
	return []primary.Step{k.find(first), {SQL: writedb.ConfirmSeen}}
}

func (k Key) find(first *First) primary.Step {
	return primary.Step{SQL: writedb.FindKey, Args: []any{k.Scope, k.Key, retention},
		Read: primary.RowsInto(&first.rows, pgx.RowToStructByPos[writedb.FindKeyRow])}
}

// Into decodes what was made into v, and says whether there is anything. Its error is ErrReused if the request was another.
func (f First) Into(k Key, v any) (bool, error) {
	if len(f.rows) == 0 {
		return false, nil
	}
	if string(f.rows[0].RequestHash) != string(k.hash) {
		return false, ErrReused
	}
	if err := json.Unmarshal([]byte(f.rows[0].Answer), v); err != nil {
		return false, fmt.Errorf("answer under a key: %w", err)
	}
	return true, nil
}
