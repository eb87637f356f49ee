package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// drill is the system with what it must hold.
type drill struct {
	*stack
	client
	began time.Time
	// kept are the ids of bids that every answer must have. lost are the ids of bids that no answer may have.
	kept, lost map[int64]bool
	price      int64
	position   string // of the last bid
}

func (d *drill) say(format string, args ...any) {
	fmt.Printf("%5.1f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *drill) up(ctx context.Context) error {
	if err := d.script(ctx, "up"); err != nil {
		return err
	}
	d.client.url = d.stack.url()
	if d.kept == nil {
		d.kept, d.lost = map[int64]bool{}, map[int64]bool{}
	}
	return until(ctx, func() error { return d.login(ctx) })
}

// bid makes bids and adds them to the ids.
func (d *drill) bid(ctx context.Context, n int, to map[int64]bool) error {
	for range n {
		d.price++
		id, at, err := d.client.bid(ctx, d.price)
		if err != nil {
			return err
		}
		if d.lost[id] || d.kept[id] {
			return fmt.Errorf("the id %d was given to two bids", id)
		}
		to[id], d.position = true, at
	}
	return nil
}

// holds is an error unless an answer has all bids that it must have, and none that was given up.
func (d *drill) holds(a answer) error {
	missing, back := 0, 0
	for id := range d.kept {
		if !a.ids[id] {
			missing++
		}
	}
	for id := range d.lost {
		if a.ids[id] {
			back++
		}
	}
	if missing+back > 0 {
		return fmt.Errorf("the answer of %s at %s lacks %d of %d bids, and has %d of %d that were given up",
			a.header.Get("Read-Path"), a.header.Get("Read-LSN"), missing, len(d.kept), back, len(d.lost))
	}
	return nil
}

// everyPath waits until each path answers, and each answer must be right.
func (d *drill) everyPath(ctx context.Context) error {
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		err := until(ctx, func() error {
			a, err := d.read(ctx, path, d.position)
			if err == nil && a.status != http.StatusOK {
				err = fmt.Errorf("%s: %d %.200s", path, a.status, a.body)
			}
			if err != nil {
				return err
			}
			return d.holds(a)
		})
		if err != nil {
			return err
		}
		d.say("%s answers with all %d bids and none of the %d that were given up", path, len(d.kept), len(d.lost))
	}
	return nil
}

// whole does the main job, and compares all keys of Redis with the primary.
func (d *drill) whole(ctx context.Context) error {
	if err := d.everyPath(ctx); err != nil {
		return err
	}
	if err := d.script(ctx, "loadtest", "try"); err != nil {
		return err
	}
	return d.script(ctx, "ctl", "verify")
}

// sameSystem restores to a moment behind a failover, which is behind a gap in the archive that the new leader had to fill.
func (d *drill) sameSystem(ctx context.Context) error {
	if err := d.bid(ctx, 20, d.kept); err != nil {
		return err
	}
	if err := d.script(ctx, "ctl", "backup"); err != nil {
		return err
	}
	if err := d.archiveGap(ctx); err != nil {
		return err
	}
	if err := d.bid(ctx, 20, d.kept); err != nil {
		return err
	}
	keptAt := d.position
	moment, err := d.ask(ctx, "sql", "primary", `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z'`)
	if err != nil {
		return err
	}
	if err := d.bid(ctx, 30, d.lost); err != nil {
		return err
	}
	lostAt := d.position
	a, err := d.read(ctx, "redis", lostAt)
	if err != nil || len(a.ids) != len(d.kept)+len(d.lost) {
		return errors.Join(fmt.Errorf("before the restore Redis has %d of %d bids", len(a.ids), len(d.kept)+len(d.lost)), err)
	}
	watched := d.watch(ctx, a.at.Timeline)
	err = d.script(ctx, "ctl", "restore", "--to", moment)
	if err == nil {
		err = d.positions(ctx, keptAt, lostAt)
	}
	if err = errors.Join(err, watched()); err != nil {
		return err
	}
	d.position = keptAt
	if err := d.bid(ctx, 10, d.kept); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	return d.script(ctx, "ctl", "backup", "full")
}

// positions: one of the history that was given up is refused, one of before is good.
func (d *drill) positions(ctx context.Context, kept, lost string) error {
	return until(ctx, func() error {
		a, err := d.read(ctx, "", lost)
		if err != nil || a.status != http.StatusConflict || !strings.Contains(string(a.body), "position-lost") {
			return errors.Join(fmt.Errorf("a position of the history that was given up: %d %.200s", a.status, a.body), err)
		}
		if a, err = d.read(ctx, "", kept); err != nil || a.status != http.StatusOK {
			return errors.Join(fmt.Errorf("a position of before: %d %.200s", a.status, a.body), err)
		}
		d.say("the position %s is refused (position-lost), %s is good", lost, kept)
		return d.holds(a)
	})
}

// watch reads all the time. Once an answer is of a newer timeline, each must be, and must be right.
func (d *drill) watch(ctx context.Context, before uint32) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		answers, after := 0, 0
		var wrong error
		for ctx.Err() == nil {
			a, err := d.read(ctx, "", "")
			switch {
			case err != nil || a.status != http.StatusOK:
				continue
			case a.at.Timeline > before:
				after++
				wrong = errors.Join(wrong, d.holds(a))
			case after > 0:
				wrong = errors.Join(wrong, fmt.Errorf("an answer of %s at %s after one of the restored system", a.header.Get("Read-Path"), a.header.Get("Read-LSN")))
			}
			answers++
		}
		d.say("%d reads were answered meanwhile, %d of them by the restored system", answers, after)
		done <- wrong
	}()
	return func() error { cancel(); return <-done }
}

// redisAlone puts an old file of Redis back.
func (d *drill) redisAlone(ctx context.Context) error {
	data, old := d.file("data", "redis"), d.file("redis.old")
	steps := []func() error{
		func() error { return d.script(ctx, "ctl", "stop", "redis") },
		func() error { return os.CopyFS(old, os.DirFS(data)) },
		func() error { return d.script(ctx, "ctl", "start", "redis") },
		func() error { return d.bid(ctx, 20, d.kept) },
		func() error { return d.everyPath(ctx) },
		func() error { return d.confirmed(ctx) },
		func() error { return d.script(ctx, "ctl", "stop", "redis") },
		func() error { return os.RemoveAll(data) },
		func() error { return os.CopyFS(data, os.DirFS(old)) },
		func() error { return d.script(ctx, "ctl", "start", "redis") },
		func() error { return d.bid(ctx, 1, d.kept) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return d.whole(ctx)
}

// confirmed waits until the slot keeps no WAL for what Redis holds now, so that only a rebuild can help an older Redis.
func (d *drill) confirmed(ctx context.Context) error {
	_, lsn, _ := strings.Cut(d.position, "-")
	return until(ctx, func() error {
		out, err := d.ask(ctx, "sql", "primary", "SELECT bool_and(confirmed_flush_lsn >= '"+lsn+"') FROM pg_replication_slots WHERE NOT temporary AND slot_type = 'logical'")
		if err == nil && out != "t" {
			err = errors.New("the slot is not confirmed")
		}
		return err
	})
}

// newSystem starts another stack, with nothing but the backups of the first, which is stopped.
func (d *drill) newSystem(ctx context.Context, second *stack) error {
	if err := d.script(ctx, "down"); err != nil {
		return err
	}
	from := d.file("backup")
	d.stack = second
	d.env = append(d.env, "RESTORE_FROM="+from)
	if err := d.up(ctx); err != nil {
		return err
	}
	// The demo's own bid of the start is no bid of this size.
	d.position = ""
	if err := d.bid(ctx, 5, d.kept); err != nil {
		return err
	}
	if err := d.whole(ctx); err != nil {
		return err
	}
	nodes, err := d.ask(ctx, "nodes")
	if err != nil {
		return err
	}
	d.say("the new system: %s", strconv.Quote(nodes))
	return d.script(ctx, "ctl", "backup", "full")
}
