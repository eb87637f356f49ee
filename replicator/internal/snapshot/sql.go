package snapshot

// The statement on the catalogs of the server and the setting, which sqlc does not know.
const (
	keepTheirFiles = `SELECT bool_and(relfilenode = pg_relation_filenode(oid)) FROM pg_class
		WHERE oid IN ('public.bids'::regclass, 'public.raffles'::regclass, 'public.products'::regclass)`
	sortInMemory = `SET LOCAL work_mem = '64MB'`
)
