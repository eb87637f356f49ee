// Package wal reads the logical replication stream. It owns the slots named pyramid_<epoch> (of a named pipeline
// pyramid_<pipeline>_<epoch>) and the replication connection, and it decodes pgoutput (protocol version 1) without copying.
// Source of the formats: PostgreSQL 15 documentation, chapters 55.4 and 55.9.
package wal

import "github.com/stock-pyramid/stock-pyramid/internal/lsn"

// LSN is a position in the write-ahead log.
type LSN = lsn.LSN

// Publication is the name of the publication that the stream sends.
const Publication = "pyramid"
