package tables

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Copy reads the rows of a table in the open transaction of the connection. clauses follow FROM; "" reads all rows in
// any order. The row is valid only during the call.
func Copy(ctx context.Context, conn *pgx.Conn, t Table, clauses string, each func(Plan, *wal.Row) error) error {
	relation, err := describe(ctx, conn, t)
	if err != nil {
		return fmt.Errorf("copy of %s: %w", t, err)
	}
	plan, err := NewPlan(relation)
	if err != nil {
		return err
	}
	var row wal.Row
	reader := &wal.CopyReader{Row: func(fields [][]byte) error {
		wal.CopyRow(relation, fields, &row)
		return each(plan, &row)
	}}
	columns := make([]string, len(relation.Columns))
	for i, c := range relation.Columns {
		columns[i] = pgx.Identifier{c.Name}.Sanitize()
	}
	sql := fmt.Sprintf("COPY (SELECT %s FROM %s %s) TO STDOUT (FORMAT binary)", strings.Join(columns, ", "), t, clauses)
	if _, err := conn.PgConn().CopyTo(ctx, reader, sql); err != nil {
		return fmt.Errorf("copy of %s: %w", t, err)
	}
	return reader.Close()
}

// describe reads the needed columns of a table in the form in which the stream describes them.
func describe(ctx context.Context, conn *pgx.Conn, t Table) (*wal.Relation, error) {
	var wanted []string
	for _, c := range layout[t].columns {
		wanted = append(wanted, c.name)
	}
	rows, err := conn.Query(ctx, columnsOf, t.String(), wanted)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[wal.ColumnType])
	return &wal.Relation{Name: t.String(), Full: true, Columns: columns}, err
}
