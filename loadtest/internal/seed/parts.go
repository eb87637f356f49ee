package seed

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// part is an index or constraint that is dropped for the load and made again after it.
type part struct {
	title  string
	drop   string
	create string
}

// They are made in this order: keys, then plain indexes, then foreign keys. Checks stay, because testing the
// rows as they come costs less than another pass. The index behind a key is dropped and made with its key.
const partsQuery = `
SELECT 1, 'key ' || conname, format('ALTER TABLE %1$s DROP CONSTRAINT %2$I', conrelid::regclass, conname),
       format('ALTER TABLE %1$s ADD CONSTRAINT %2$I %3$s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'x')
UNION ALL
SELECT 2, 'index ' || indexrelid::regclass, format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
  FROM pg_index WHERE indrelid = $1::text::regclass
   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 3, 'foreign key ' || conname, format('ALTER TABLE %1$s DROP CONSTRAINT %2$I', conrelid::regclass, conname),
       format('ALTER TABLE %1$s ADD CONSTRAINT %2$I %3$s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'f'
ORDER BY 1, 2`

// dropParts drops a table's indexes, keys and foreign keys and returns them in the order to make
// them again.
func dropParts(ctx context.Context, tx pgx.Tx, table string) ([]part, error) {
	rows, err := tx.Query(ctx, partsQuery, table)
	if err != nil {
		return nil, err
	}
	parts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p part, err error) {
		var order int
		err = row.Scan(&order, &p.title, &p.drop, &p.create)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if _, err := tx.Exec(ctx, p.drop); err != nil {
			return nil, fmt.Errorf("drop %s: %w", p.title, err)
		}
	}
	return parts, nil
}

func (l *loader) makeParts(ctx context.Context, tx pgx.Tx, parts []part) error {
	for _, p := range parts {
		if err := l.step(ctx, tx, p.title, p.create); err != nil {
			return err
		}
	}
	return nil
}
