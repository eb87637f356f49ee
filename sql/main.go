// Command sql prepares the database: the roles (init, as a superuser) and the schema (migrate).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/version"
	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

const usage = `usage: sql init | migrate up | migrate down | migrate status

  init            makes the roles and the database; SUPERUSER_URL says where, and each role's
                  password is read from SECRETS_DIR/<role>.password
  migrate up      applies what is pending; MIGRATE_URL is the URL of the role migrator
  migrate down    takes the latest migration back
  migrate status  lists all migrations

Two starters at once are safe: the second waits for the first.`

func main() {
	if version.Print(os.Stdout, "sql", os.Args[1:]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Join(os.Args[1:], " ")); err != nil {
		fmt.Fprintln(os.Stderr, "sql:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verb string) error {
	if err := env.LoadFile(); err != nil {
		return err
	}
	switch verb {
	case "init":
		return bootstrap(ctx)
	case "migrate up":
		return up(ctx)
	case "migrate down":
		return down(ctx)
	case "migrate status":
		return status(ctx)
	case "", "help", "-h", "--help":
		fmt.Println(usage)
		return nil
	}
	return fmt.Errorf("unknown verb %q\n%s", verb, usage)
}

func bootstrap(ctx context.Context) error {
	url, err := fromEnv("SUPERUSER_URL")
	if err != nil {
		return err
	}
	dir, err := fromEnv("SECRETS_DIR")
	if err != nil {
		return err
	}
	passwords := make(map[string]string)
	for _, r := range migrations.Roles {
		b, err := os.ReadFile(filepath.Join(dir, r.Name+".password"))
		if err != nil {
			return fmt.Errorf("password of role %s: %w", r.Name, err)
		}
		passwords[r.Name] = strings.TrimSpace(string(b))
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return migrations.Bootstrap(ctx, conn, passwords)
}

func up(ctx context.Context) error {
	url, err := fromEnv("MIGRATE_URL")
	if err != nil {
		return err
	}
	applied, err := migrations.Up(ctx, url)
	for _, file := range applied {
		fmt.Println("applied", file)
	}
	return err
}

func down(ctx context.Context) error {
	url, err := fromEnv("MIGRATE_URL")
	if err != nil {
		return err
	}
	file, err := migrations.Down(ctx, url)
	if err != nil {
		return err
	}
	fmt.Println("took back", file)
	return nil
}

func status(ctx context.Context) error {
	url, err := fromEnv("MIGRATE_URL")
	if err != nil {
		return err
	}
	list, err := migrations.List(ctx, url)
	for _, s := range list {
		state := "pending"
		if !s.AppliedAt.IsZero() {
			state = "applied " + s.AppliedAt.UTC().Format("2006-01-02T15:04:05Z")
		}
		fmt.Printf("%-40s %s\n", s.File, state)
	}
	return err
}

func fromEnv(name string) (string, error) {
	if v := os.Getenv(name); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("set %s\n%s", name, usage)
}
