// Package migrations holds the schema of the database pyramid: the roles that a superuser makes
// once (Bootstrap) and the versioned goose migrations that the role migrator applies (Up, Down).
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Database is the name of the database that all services share.
const Database = "pyramid"

// Publication is the name of the publication that the replicator reads.
const Publication = "pyramid"

// Status is one migration and when it was applied (zero: not yet).
type Status struct {
	Version   int64
	File      string
	AppliedAt time.Time
}

// Up applies every pending migration and returns the files it applied. The URL is that of the role
// migrator. A session lock in the database makes a second starter wait for the first.
func Up(ctx context.Context, url string) (applied []string, err error) {
	err = withProvider(url, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		for _, r := range results {
			applied = append(applied, r.Source.Path)
		}
		return err
	})
	return applied, err
}

// Down takes the latest migration back and returns its file.
func Down(ctx context.Context, url string) (file string, err error) {
	err = withProvider(url, func(p *goose.Provider) error {
		result, err := p.Down(ctx)
		if err != nil {
			return err
		}
		file = result.Source.Path
		return nil
	})
	return file, err
}

// List returns all migrations in order.
func List(ctx context.Context, url string) (list []Status, err error) {
	err = withProvider(url, func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, s := range all {
			list = append(list, Status{Version: s.Source.Version, File: s.Source.Path, AppliedAt: s.AppliedAt})
		}
		return err
	})
	return list, err
}

func withProvider(url string, do func(*goose.Provider) error) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("migrations: database URL: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := provider(db)
	if err != nil {
		return err
	}
	if err := do(p); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	// One try a second for a minute, because the migrations of another starter take well under a minute.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
	if err != nil {
		return nil, fmt.Errorf("migrations: lock: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}
