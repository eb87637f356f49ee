package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/sql/migrations"
)

// A template is a stopped cluster, bootstrapped and migrated. One is kept per version of PostgreSQL and of the
// migrations. A template that was not used for this long is removed.
const templateLife = 7 * 24 * time.Hour

// templateWALFileMB is the least, so that a copy of the template is small.
const templateWALFileMB = 1

// fill puts a cluster into the data folder: a copy of the template or a new one.
func (p *Postgres) fill(o options) error {
	if o.fresh {
		if o.walFileMB > 0 {
			p.settings = o.settings // some depend on the size
		}
		return p.build(max(o.walFileMB, templateWALFileMB))
	}
	template, err := template()
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	// cp copies blocks only if the file system can't share them.
	return runTool(nil, p.dir, "cp", "-a", "--reflink=auto", template, p.data())
}

var template = sync.OnceValues(func() (string, error) {
	base, err := diskBase()
	if err != nil {
		return "", err
	}
	key, err := templateKey()
	if err != nil {
		return "", err
	}
	path := filepath.Join(base, "template-"+key)
	err = withLock(filepath.Join(base, "template-lock"), func() error {
		now := time.Now()
		err := os.Chtimes(path, now, now)
		if errors.Is(err, os.ErrNotExist) {
			err = makeTemplate(path)
		}
		return errors.Join(err, removeOldTemplates(base, now))
	})
	return path, err
})

// templateKey changes with everything that makes the template.
func templateKey() (string, error) {
	path, err := postgresBinary("postgres")
	if err != nil {
		return "", err
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", err
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	sum.Write(version)
	for _, pattern := range []string{"sql/migrations/*.sql", "sql/migrations/*.go", "internal/testenv/template.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n", filepath.Base(file), len(b))
			sum.Write(b)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// makeTemplate builds the cluster in the process's folder and renames it, so a template that
// exists is complete.
func makeTemplate(path string) error {
	user, err := serverOwner()
	if err != nil {
		return err
	}
	dir, err := newFolder(diskRun, "pg", user)
	if err != nil {
		return err
	}
	port, release, err := reservePort()
	if err != nil {
		return err
	}
	p := &Postgres{
		dir: dir, port: port, database: migrations.Database,
		proc: &process{name: "postgres (template)", owner: user},
	}
	err = errors.Join(p.build(templateWALFileMB), release())
	if err == nil {
		err = os.Rename(p.data(), path)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// build makes a new cluster, applies Bootstrap and Up to it and stops it.
func (p *Postgres) build(walFileMB int) (err error) {
	initdb, err := postgresBinary("initdb")
	if err != nil {
		return err
	}
	err = runTool(p.proc.owner, p.dir, initdb, "-D", p.data(), "-U", "postgres", "--no-sync", "--auth=trust",
		"--encoding=UTF8", "--locale=C", fmt.Sprintf("--wal-segsize=%d", walFileMB), "--no-instructions")
	if err != nil {
		return err
	}
	if err := p.configure(); err != nil {
		return err
	}
	if err := p.start(); err != nil {
		return errors.Join(err, p.discard())
	}
	if err := p.migrate(); err != nil {
		return errors.Join(err, p.discard())
	}
	return p.proc.end(syscall.SIGINT)
}

func (p *Postgres) migrate() error {
	passwords := make(map[string]string)
	for _, r := range migrations.Roles {
		passwords[r.Name] = r.Name
	}
	err := withConn(p.databaseURL("postgres", "postgres"), func(ctx context.Context, conn *pgx.Conn) error {
		return migrations.Bootstrap(ctx, conn, passwords)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startBudget)
	defer cancel()
	_, err = migrations.Up(ctx, p.URL("migrator"))
	return err
}

func removeOldTemplates(base string, now time.Time) error {
	dirs, err := filepath.Glob(filepath.Join(base, "template-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.IsDir() && now.Sub(info.ModTime()) > templateLife {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}
