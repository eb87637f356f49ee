package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// archiveGap lets the primary die before it has archived its last segments of WAL. The new leader has to archive them.
func (d *drill) archiveGap(ctx context.Context) error {
	away := d.file("backup.away")
	if err := os.Rename(d.file("backup"), away); err != nil {
		return err
	}
	for range 3 {
		if err := d.bid(ctx, 10, d.kept); err != nil {
			return err
		}
		if _, err := d.ask(ctx, "sql", "primary", "SELECT pg_switch_wal()"); err != nil {
			return err
		}
	}
	if err := d.alerting(ctx); err != nil {
		return err
	}
	d.say("the archive fails, and bids are taken all the same")
	roles, err := d.ask(ctx, "roles")
	if err != nil {
		return err
	}
	old := strings.Fields(roles)[1]
	if _, err := d.ask(ctx, "crash", old); err != nil {
		return err
	}
	if err := d.bid(ctx, 10, d.kept); err != nil {
		return err
	}
	d.say("%s was killed, and the other node leads", old)
	if err := os.Rename(away, d.file("backup")); err != nil {
		return err
	}
	if _, err := d.ask(ctx, "start", old); err != nil {
		return err
	}
	return until(ctx, func() error {
		nodes, err := d.ask(ctx, "nodes")
		if err == nil && !strings.Contains(nodes, `"in_sync":true`) {
			err = errors.New("the standby does not get in sync")
		}
		return err
	})
}

// alerting waits for the figures that the alerts ArchiveStalls and BackupMissing look at.
func (d *drill) alerting(ctx context.Context) error {
	for _, name := range []string{"pg_node_unarchived_seconds", "pg_node_unarchived_bytes", "pg_node_last_backup_timestamp_seconds"} {
		if err := until(ctx, func() error { return d.metric(ctx, name) }); err != nil {
			return err
		}
	}
	return nil
}

// metric is an error unless the exporter of the first node, which leads at first, shows a figure above 0.
func (d *drill) metric(ctx context.Context, name string) error {
	exporter := client{url: fmt.Sprintf("http://127.0.0.1:%d", d.port+offsets["EXPORTER"])}
	a, err := exporter.do(ctx, "GET", "/metrics", nil, nil)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(a.body)) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[0], name) && fields[1] != "0" {
			return nil
		}
	}
	return fmt.Errorf("the exporter shows no %s", name)
}
