// Package dump prints the keys of the read model as JSON, one item on a line. It reads Redis in pages, so that it needs
// little memory whatever the size of the key, and it writes nothing to Redis.
package dump

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

var (
	// ErrUnknown is returned for a name that no key of the read model has.
	ErrUnknown = errors.New("the read model has no key of this name")
	// ErrMissing is returned for a key that Redis does not hold.
	ErrMissing = errors.New("redis has no such key")
	// ErrChanged is returned if a key was removed, or nearly so, while it was read.
	ErrChanged = errors.New("the key was removed while it was read")
)

// page is how many items are read at once.
const page = 500

// Options say what is printed.
type Options struct {
	// Key is the name of a key. "*" in place of the epoch is the epoch that is served.
	Key string
	// Most bounds the number of items; 0: no limit.
	Most int64
}

// Result counts what was printed.
type Result struct {
	Items      int64
	Unreadable int64 // items that package readmodel can't read; they are printed in hexadecimal
}

// Run prints a key. Items of sorted sets and streams come in the order in which query reads them. An item that is in the
// key all the time is printed once, except that an item of a set or a hash may come twice if the key grows meanwhile.
func Run(ctx context.Context, client *redis.Client, o Options, out io.Writer) (Result, error) {
	d := &dumper{client: client, most: o.Most, out: json.NewEncoder(out)}
	d.out.SetEscapeHTML(false)
	name, err := d.served(ctx, o.Key)
	if err != nil {
		return d.Result, err
	}
	form, ok := formOf(name)
	if !ok {
		return d.Result, fmt.Errorf("%q: %w; the keys are %s", o.Key, ErrUnknown, Keys)
	}
	is, err := client.Type(ctx, name).Result()
	switch {
	case err != nil:
		return d.Result, fmt.Errorf("redis: %w", err)
	case is == "none":
		return d.Result, fmt.Errorf("%s: %w", name, ErrMissing)
	case is != form.structure:
		return d.Result, fmt.Errorf("%s is a %s in Redis, and must be a %s", name, is, form.structure)
	}
	if err := form.print(ctx, d, name); err != nil && !errors.Is(err, errEnough) {
		return d.Result, fmt.Errorf("%s: %w", name, err)
	}
	return d.Result, nil
}

// dumper prints one key.
type dumper struct {
	client *redis.Client
	out    *json.Encoder
	most   int64
	Result
}

// served replaces "*" in place of the epoch.
func (d *dumper) served(ctx context.Context, key string) (string, error) {
	tag, rest, ok := strings.Cut(key, "}:*")
	if !ok || rest != "" && rest[0] != ':' {
		return key, nil
	}
	stored, err := d.client.Get(ctx, readmodel.CheckpointKey).Result()
	if errors.Is(err, redis.Nil) {
		return "", errors.New("redis has no checkpoint, so no epoch is served: name the epoch instead of *")
	}
	if err != nil {
		return "", fmt.Errorf("redis: %w", err)
	}
	cp, err := readmodel.ParseCheckpoint(stored)
	if err != nil {
		return "", fmt.Errorf("which epoch is served: %w", err)
	}
	return fmt.Sprintf("%s}:%d%s", tag, cp.Epoch, rest), nil
}

// errEnough ends the reading when Most items are printed.
var errEnough = errors.New("enough")

// print prints an item, or the bytes that could not be read.
func (d *dumper) print(item any, raw string, err error) error {
	if err != nil {
		d.Unreadable++
		item = unreadable{fmt.Sprintf("%x", raw), err.Error()}
	}
	if err := d.out.Encode(item); err != nil {
		return err
	}
	d.Items++
	if d.Items == d.most {
		return errEnough
	}
	return nil
}

type unreadable struct {
	Unreadable string `json:"unreadable"` // hexadecimal
	Error      string `json:"error"`
}
