package tables

// The statements on the catalogs of the server, which sqlc does not know.
const (
	expectedRows = `SELECT greatest((SELECT reltuples FROM pg_class WHERE oid = 'public.bids'::regclass), 0)::bigint,
		greatest((SELECT reltuples FROM pg_class WHERE oid = 'public.raffles'::regclass), 0)::bigint,
		greatest((SELECT reltuples FROM pg_class WHERE oid = 'public.products'::regclass), 0)::bigint`

	columnsOf = `SELECT attname::text, atttypid FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attname = ANY ($2) AND NOT attisdropped ORDER BY attnum`
)
