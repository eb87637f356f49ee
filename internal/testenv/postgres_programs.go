package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// The major versions of PostgreSQL that the tests run with.
const (
	oldestPostgres = 15
	newestPostgres = 18
)

// PostgresBin is the folder of PostgreSQL's programs: PG_BIN, otherwise that of the newest version that is installed
// as Debian installs it.
func PostgresBin(t testing.TB) string {
	t.Helper()
	dir, err := postgresBin(os.Getenv("PG_BIN"), "/usr/lib/postgresql")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// PostgresTool finds a program of PostgreSQL in PostgresBin.
func PostgresTool(t testing.TB, name string) string {
	t.Helper()
	path, err := postgresBinary(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// postgresBin takes the folder that was chosen, if any, and the parent of the folders of the versions.
func postgresBin(chosen, versions string) (string, error) {
	if chosen != "" && !filepath.IsAbs(chosen) {
		return "", fmt.Errorf("PG_BIN=%s is not an absolute path", chosen)
	}
	if chosen != "" {
		return chosen, nil
	}
	for version := newestPostgres; version >= oldestPostgres; version-- {
		dir := filepath.Join(versions, strconv.Itoa(version), "bin")
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s has no PostgreSQL %d to %d: install package postgresql-%[2]d (deploy/local/install does) "+
		"or name the folder of the programs in PG_BIN", versions, oldestPostgres, newestPostgres)
}

func postgresBinary(name string) (string, error) {
	dir, err := postgresBin(os.Getenv("PG_BIN"), "/usr/lib/postgresql")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("program of PostgreSQL: %w", err)
	}
	return path, nil
}
