package pg

import (
	"os"
	"strconv"

	"github.com/jackc/pgpassfile"
	"github.com/jackc/pgx/v5/pgconn"
)

// Refresh puts the password that the file of PGPASSFILE has now into a configuration, before a connection is made. So a
// password can be changed while the program runs. If the file has none for the server, or can't be read, the last password
// stays, and the server says whether it is still good.
func Refresh(c *pgconn.Config) {
	file := os.Getenv("PGPASSFILE")
	if file == "" {
		return
	}
	passwords, err := pgpassfile.ReadPassfile(file)
	if err != nil {
		return
	}
	if p := passwords.FindPassword(c.Host, strconv.Itoa(int(c.Port)), c.Database, c.User); p != "" {
		c.Password = p
	}
}
